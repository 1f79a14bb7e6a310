package torture_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// names is the resolver of this process.
var names resolver

// A resolver responds to every query that there is no such name, after a delay.
type resolver struct {
	late    atomic.Int64 // as a duration
	queries atomic.Int64 // so far
}

func (r *resolver) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go r.serve(server)
	return client, nil
}

// serve answers the queries on a connection, which are framed as over TCP: with
// two bytes of length in front (RFC 1035, section 4.2.2).
func (r *resolver) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var length uint16
		if binary.Read(conn, binary.BigEndian, &length) != nil {
			return
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		r.queries.Add(1)
		time.Sleep(time.Duration(r.late.Load()))
		response := refuse(message)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(response))),
			response...)); err != nil {
			return
		}
	}
}

// refuse returns the response that there is no such name: the question with other
// flags and counts (RFC 1035, section 4.1.1).
func refuse(question []byte) []byte {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += 1 + int(question[end])
	}
	response := append([]byte(nil), question[:end+5]...) // with the type and the class
	copy(response[2:], []byte{
		0x81, 0x83, // a response, recursion available, NXDOMAIN
		0, 1, 0, 0, 0, 0, 0, 0, // one question, nothing else
	})
	return response
}
