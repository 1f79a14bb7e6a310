// Package bench measures the relay. Its benchmarks run everything in one
// process, which shows allocations; the command compare runs everything in
// processes of its own, which shows what a user would have, next to what the
// user could have instead.
//
//	bench_test.go  direct, relayed, and by a stock httputil.ReverseProxy
//	memory_test.go what an idle stream holds
//	compare        the command: contenders, rounds, its section of docs/performance.md
//	lambda         the command: the same on an emulated AWS Lambda
//	servers        the command: the same for the servers of Google Cloud Functions and Vercel
//	verdict        the command: which bounds the figures of those keep, and what streams cost on each platform
//	chaos          the command, a module of its own: regions that break before a gateway, docs/failover.md; and its performance, which draws plots
//	doc            the page that the commands share, and what their reports have in common
//	load           clients in a closed loop or an open one, and their histogram
//	upstream       a scripted upstream whose answers are bytes made beforehand
//	proc           children, their CPU time and memory as the kernel counts them
//	wire           HTTP/1.1 framing for both ends, which allocates nothing
//
// Both ends are cheap so that the figures are the relay's: in one process their
// allocations are next to none, and on shared cores they leave it the time.
package bench
