package lambdaemu

import (
	"errors"
	"net/http"
	"strings"
)

var errRemapped = errors.New("the function answered with an X-Amzn-Remapped header")

const remapPrefix = "X-Amzn-Remapped-"

// ownHeaders are those that a service sets itself, or that end at a proxy. No
// documentation has all that are renamed.
var ownHeaders = []string{
	"Connection", "Content-Length", "Date", "Host", "Keep-Alive", "Proxy-Connection", "Server", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Www-Authenticate",
}

// remap renames the headers that are the service's. A function that uses the
// new names itself gets an error.
func (r *reply) remap() error {
	for name := range r.header {
		if strings.HasPrefix(name, remapPrefix) {
			return errRemapped
		}
	}
	for _, name := range ownHeaders {
		if values := r.header.Values(name); len(values) > 0 {
			r.header[http.CanonicalHeaderKey(remapPrefix+name)] = values
			r.header.Del(name)
		}
	}
	return nil
}

// dropOwn is what the services do that do not rename. They leave a Date and a
// Www-Authenticate as they are.
func (r *reply) dropOwn() {
	for _, name := range ownHeaders {
		if name != "Date" && name != "Www-Authenticate" {
			r.header.Del(name)
		}
	}
}
