// Package vercelbuild builds the relay's function as Vercel does, and runs the
// result as Vercel does, for tests of what is deployed there. It needs Linux, Node
// with npm, and the network only to install Vercel's command line.
//
//	Build          once per process, while the caller has the port
//	  install      Vercel's command line, pinned, into the user's cache
//	  clone        what git tracks, with Secrets beside it
//	  upload       what vercel deploy would take of that
//	  build        vercel build of those files alone
//	Function.Start
//	  edge         stands in for what Vercel has in front of a function
//	  executable   Vercel's proxy, on port 3000 and no other
//	  user-server  the relay, which the proxy starts
//
// Since the port is fixed, tests wait for each other, even across processes.
package vercelbuild
