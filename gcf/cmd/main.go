// Command cmd runs the Google Cloud Function on this machine, in the functions
// framework as on the platform.
//
//	go run ./gcf/cmd [-listen 127.0.0.1:8080]
//
// Without -listen it uses the port in PORT, or 8080. Settings are the relay's.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"

	_ "example.com/relay/gcf"
)

func main() {
	address := net.JoinHostPort("127.0.0.1", cmp.Or(os.Getenv("PORT"), "8080"))
	listen := flag.String("listen", address, "address to listen on")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "gcf:", err)
		os.Exit(1)
	}
}

// run serves the function on an address. It returns only if that fails.
func run(listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	// Unset, the framework would serve the function at /Relay only.
	if err := os.Setenv("FUNCTION_TARGET", "Relay"); err != nil {
		return err
	}
	fmt.Printf("base URL: http://%s/v1\n", listen)
	return funcframework.StartHostPort(host, port)
}
