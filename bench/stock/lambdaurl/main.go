// Command lambdaurl is what a user would write with lambdaurl: a stock
// httputil.ReverseProxy as a function that streams.
package main

import (
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/aws/aws-lambda-go/lambdaurl"
)

func main() {
	upstream, err := url.Parse(os.Getenv("UPSTREAM"))
	if err != nil {
		panic(err)
	}
	lambdaurl.Start(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		FlushInterval: -1,
	})
}
