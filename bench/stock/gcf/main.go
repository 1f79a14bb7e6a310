// Command gcf is what a user would write as a Google Cloud Function: a
// stock httputil.ReverseProxy in the functions framework.
package main

import (
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"
)

func main() {
	upstream, err := url.Parse(os.Getenv("UPSTREAM"))
	if err != nil {
		panic(err)
	}
	functions.HTTP("Proxy", (&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		FlushInterval: -1,
	}).ServeHTTP)
	panic(funcframework.StartHostPort("127.0.0.1", os.Getenv("PORT")))
}
