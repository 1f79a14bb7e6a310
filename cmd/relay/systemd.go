package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// passedSocket returns the socket that a service manager passed to listen on in place
// of -listen, or nil if there is none: the first file descriptor of LISTEN_FDS, see
// sd_listen_fds(3). The manager keeps such a socket open, so that connections wait,
// and are not refused, while the relay restarts.
func passedSocket(environ []string) (net.Listener, error) {
	count, _ := strconv.Atoi(lookup(environ, "LISTEN_FDS"))
	if count < 1 || lookup(environ, "LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if count > 1 {
		return nil, fmt.Errorf("LISTEN_FDS is %d: relay serve accepts one socket", count)
	}
	const first = 3 // SD_LISTEN_FDS_START
	file := os.NewFile(first, "LISTEN_FDS")
	defer file.Close() // FileListener duplicates it
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the socket of LISTEN_FDS: %w", err)
	}
	return ln, nil
}

// notify sends a change of state, such as READY=1, to the service manager, if there is
// one; see sd_notify(3). Errors are ignored: the relay serves without a manager too.
func notify(environ []string, state string) {
	name := lookup(environ, "NOTIFY_SOCKET")
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return
	}
	conn, err := net.Dial("unixgram", name)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
