// Command server is what a user would write for Vercel's server mode: a
// stock httputil.ReverseProxy on the port in PORT.
package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	upstream, err := url.Parse(os.Getenv("UPSTREAM"))
	if err != nil {
		panic(err)
	}
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		FlushInterval: -1,
	}))
}
