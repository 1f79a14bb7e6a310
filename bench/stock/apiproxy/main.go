// Command apiproxy is what a user would write with api-proxy: a stock
// httputil.ReverseProxy as a function whose responses come whole.
package main

import (
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
)

func main() {
	upstream, err := url.Parse(os.Getenv("UPSTREAM"))
	if err != nil {
		panic(err)
	}
	lambda.Start(httpadapter.NewV2(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
	}).ProxyWithContext)
}
