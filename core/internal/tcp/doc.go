// Package tcp has TCP connections whose small reads and writes are cheap for a
// program that waits most of the time.
//
// Go's scheduler is told of each system call, since it may block: it wakes a thread
// that looks, every 20 µs, whether it does. A relay with a thousand streams wakes up
// for every event, so that this thread, and putting it to sleep again, is a third of
// what an event costs. The sockets of package net never block, though: what is not
// ready returns at once, and the goroutine waits in the poller. So here they are read
// and written without notifying the scheduler.
package tcp
