package regions

import (
	"io"
	"net/http"
)

// A Page is what a platform answers in place of a relay. It has no X-Relay
// header, as it has never been near one.
type Page struct {
	Status int
	Header map[string]string
	Body   string

	// After lets the relay have the request first. Its answer is read to the end
	// and thrown away, so that the request was processed, unknown to the client.
	After bool
}

// Pages that platforms are known for.
var (
	LambdaThrottle = Page{Status: http.StatusTooManyRequests, Body: `{"Message":"Rate Exceeded."}`,
		Header: map[string]string{"Content-Type": "application/json", "X-Amzn-Errortype": "TooManyRequestsException"}}
	LambdaForbidden = Page{Status: http.StatusForbidden, Body: `{"Message":"Forbidden"}`,
		Header: map[string]string{"Content-Type": "application/json", "X-Amzn-Errortype": "AccessDeniedException"}}
	// LambdaCrash is for a function that has processed the request and died.
	LambdaCrash = Page{Status: http.StatusBadGateway, Body: `{"message":"Internal server error"}`, After: true,
		Header: map[string]string{"Content-Type": "application/json",
			"X-Amzn-Errortype": "InternalServerErrorException"}}
	GCFNoInstance = Page{Status: http.StatusTooManyRequests, Body: "Rate exceeded.",
		Header: map[string]string{"Content-Type": "text/html", "Server": "Google Frontend"}}
	GCFUnavailable = Page{Status: http.StatusServiceUnavailable, Body: "Service Unavailable",
		Header: map[string]string{"Content-Type": "text/plain", "Server": "Google Frontend"}}
	VercelNotFound = Page{Status: http.StatusNotFound,
		Body: "The deployment could not be found on Vercel.\n\nDEPLOYMENT_NOT_FOUND\n\n" +
			"fra1::xxxxx-1700000000000-000000000000\n",
		Header: map[string]string{"Content-Type": "text/plain; charset=utf-8", "Server": "Vercel",
			"X-Vercel-Error": "DEPLOYMENT_NOT_FOUND"}}

	// Bodies that are larger than the platform takes.
	LambdaTooLarge = Page{Status: http.StatusRequestEntityTooLarge,
		Body: `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`,
		Header: map[string]string{"Content-Type": "application/json",
			"X-Amzn-Errortype": "RequestEntityTooLargeException"}}
	VercelTooLarge = Page{Status: http.StatusRequestEntityTooLarge,
		Body: "Request Entity Too Large\n\nFUNCTION_PAYLOAD_TOO_LARGE\n",
		Header: map[string]string{"Content-Type": "text/plain; charset=utf-8", "Server": "Vercel",
			"X-Vercel-Error": "FUNCTION_PAYLOAD_TOO_LARGE"}}
)

// write answers with the page.
func (p *Page) write(w http.ResponseWriter) {
	for name, value := range p.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(p.Status)
	_, _ = io.WriteString(w, p.Body)
}
