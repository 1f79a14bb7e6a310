package failover_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"example.com/relay/core/failover"
)

// A client of the API goes on when the region that it prefers is gone.
func Example() {
	region := func(name string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			fmt.Fprintf(w, "%s %s from %s", req.Method, req.URL.Path, name)
		}))
	}
	paris, london := region("paris"), region("london")
	defer london.Close()

	pool, err := failover.New([]string{paris.URL + "#paris", london.URL + "#london"}, failover.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	client := &http.Client{Transport: pool}
	get := func() {
		res, err := client.Get("http://api.openai.com/v1/models") // the pool puts in the host
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		fmt.Println(string(body))
	}

	get()
	paris.Close()
	get()
	for _, upstream := range pool.Status() {
		fmt.Println(upstream.Name, upstream.State, upstream.LastError)
	}
	// Output:
	// GET /v1/models from paris
	// GET /v1/models from london
	// paris suspect refused
	// london up
}
