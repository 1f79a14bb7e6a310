// Package workerd runs Workers on the runtime that Cloudflare runs them on: for
// tests, benchmarks and make worker. Install has npm put the program into the
// user's cache, once; after that everything here works offline.
package workerd
