package failover

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"example.com/relay/core/protocol"
)

// responseID is what the stored response is called.
const responseID = "resp_0123456789"

const comment = ": keepalive\n\n"

// storedEvents are the events of a background response, as every region gives
// them. One holds a blank line inside its JSON's text, one is large, one has a
// comment in front, and some end their lines by CRLF.
func storedEvents() []string {
	events := []string{`{"type":"response.created","sequence_number":0,"response":{"id":"` + responseID +
		`","status":"queued"}}`}
	for i := 1; i < 12; i++ {
		delta := "word " + strconv.Itoa(i) + ` \n\n`
		if i == 5 {
			delta = strings.Repeat("long ", 5000)
		}
		events = append(events, fmt.Sprintf(`{"type":"response.output_text.delta","sequence_number":%d,"delta":"%s"}`,
			i, delta))
	}
	events = append(events, `{"type":"response.completed","sequence_number":12,"response":{"id":"`+responseID+`"}}`)
	for i, data := range events {
		kind, _, _ := strings.Cut(strings.TrimPrefix(data, `{"type":"`), `"`)
		switch events[i] = "event: " + kind + "\ndata: " + data + "\n\n"; i {
		case 3:
			events[i] = comment + events[i]
		case 7:
			events[i] = strings.ReplaceAll(events[i], "\n", "\r\n")
		}
	}
	return events
}

// A background is what stands behind the regions of a test: one stored
// response, which each connection may break off in some way.
type background struct {
	events []string
	cut    func(n int) (after int, how string) // of the n-th stream; after -1 for none

	mu      sync.Mutex
	streams int
	queries []string
}

func (bg *background) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == protocol.HealthPath {
		healthy(w, req)
		return
	}
	bg.mu.Lock()
	n := bg.streams
	bg.streams++
	bg.queries = append(bg.queries, req.Method+" "+req.URL.RequestURI())
	bg.mu.Unlock()
	_, _ = io.Copy(io.Discard, req.Body)
	events, first := bg.events, 0
	if req.Method == http.MethodGet {
		after, err := strconv.Atoi(req.URL.Query().Get("starting_after"))
		if err != nil || req.URL.Query().Get("stream") != "true" || req.URL.Path != "/v1/responses/"+responseID ||
			req.Header.Get("Authorization") != "Bearer sk-test" || req.Header.Get("Content-Type") != "" {
			http.Error(w, "bad resume", http.StatusBadRequest)
			return
		}
		first = after + 1
	}
	w.Header().Set("X-Relay", "relay; origin=upstream")
	w.Header().Set("Content-Type", "text/event-stream")
	after, how := bg.cut(n)
	for i := first; i < len(events); i++ {
		if i-first == after {
			breakOff(w, events[i], how)
			return
		}
		_, _ = io.WriteString(w, events[i])
		_ = http.NewResponseController(w).Flush()
	}
}

// breakOff ends a response in front of event.
func breakOff(w http.ResponseWriter, event, how string) {
	switch how {
	case "inside":
		_, _ = io.WriteString(w, event[:len(event)/2])
	case "frame":
		_, _ = io.WriteString(w, "\n\ndata: "+
			`{"error":{"message":"m","type":"relay_error","param":null,"code":"upstream_interrupted"}}`+"\n\n")
	case "clean":
		return
	}
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// resumeThrough returns what a client gets of the background response through
// three regions.
func resumeThrough(t *testing.T, bg *background, opts Options, body string) (string, error) {
	t.Helper()
	urls := make([]string, 3)
	for i := range urls {
		server := httptest.NewServer(bg)
		t.Cleanup(server.Close)
		urls[i] = server.URL + "#" + strconv.Itoa(i)
	}
	p := openPool(t, opts, urls...)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/responses",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-test")
	req.Header.Set("Content-Type", "application/json")
	res, err := p.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return string(got), err
}

const backgroundRequest = `{"model":"m","input":"x","background":true,"stream":true}`

// Wherever and however a background stream is cut, what the client gets is to
// the byte what it would have got.
func TestResumeIsLossless(t *testing.T) {
	events := storedEvents()
	whole := strings.Join(events, "")
	for _, how := range []string{"between", "inside", "frame", "clean"} {
		for after := 1; after < len(events); after++ {
			t.Run(fmt.Sprintf("%s after %d", how, after), func(t *testing.T) {
				bg := &background{events: events, cut: func(n int) (int, string) {
					if n > 0 {
						return -1, ""
					}
					return after, how
				}}
				got, err := resumeThrough(t, bg, Options{ResumeResponses: true}, backgroundRequest)
				// A comment is handed on at once, and may come again with its event.
				if got = strings.Replace(got, comment+comment, comment, 1); got != whole || err != nil {
					t.Errorf("%v; got %d bytes, want %d; requests %q", err, len(got), len(whole), bg.queries)
				}
				if bg.streams != 2 {
					t.Errorf("requests %q", bg.queries)
				}
			})
		}
	}
}

func TestResumeAgainAndAgain(t *testing.T) {
	events := storedEvents()
	bg := &background{events: events, cut: func(int) (int, string) { return 1, "inside" }} // each brings one event
	got, err := resumeThrough(t, bg, Options{ResumeResponses: true}, backgroundRequest)
	if strings.Replace(got, comment+comment, comment, 1) != strings.Join(events, "") || err != nil {
		t.Errorf("%v; got %d bytes; requests %q", err, len(got), bg.queries)
	}
}

// What cannot be resumed ends as it would have without.
func TestWhatIsNotResumed(t *testing.T) {
	events := storedEvents()
	cutOnce := func(after int) func(int) (int, string) {
		return func(n int) (int, string) {
			if n == 0 {
				return after, "inside"
			}
			return -1, ""
		}
	}
	for _, test := range []struct {
		name, body string
		opts       Options
		cut        func(int) (int, string)
		want       string
	}{
		{"off", backgroundRequest, Options{}, cutOnce(3), strings.Join(events[:3], "") + events[3][:len(events[3])/2]},
		{"in the foreground", `{"stream":true}`, Options{ResumeResponses: true}, cutOnce(3),
			strings.Join(events[:3], "") + events[3][:len(events[3])/2]},
		{"no id yet", backgroundRequest, Options{ResumeResponses: true}, cutOnce(0), events[0][:len(events[0])/2]},
		{"large request", `{"background":true,"stream":true,"input":"` + strings.Repeat("x", 1<<20) + `"}`,
			Options{ResumeResponses: true}, cutOnce(3), strings.Join(events[:3], "") + events[3][:len(events[3])/2]},
		{"nothing new any more", backgroundRequest, Options{ResumeResponses: true}, func(n int) (int, string) {
			if n == 0 {
				return 3, "between"
			}
			return 0, "between"
		}, strings.Join(events[:3], "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			bg := &background{events: events, cut: test.cut}
			got, err := resumeThrough(t, bg, test.opts, test.body)
			if got != test.want || err == nil {
				t.Errorf("%v; got %d bytes, want %d and an error; requests %q", err, len(got), len(test.want),
					bg.queries)
			}
		})
	}
}

// A region whose stored events have a gap must not pass for the rest.
func TestResumeFindsGaps(t *testing.T) {
	events := storedEvents()
	gap := append(append([]string{}, events[:6]...), events[8:]...)
	served := 0
	bg := &background{events: events, cut: func(n int) (int, string) {
		served = n
		if n == 0 {
			return 6, "between"
		}
		return -1, ""
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			bg.events = gap
		}
		bg.ServeHTTP(w, req)
	}))
	defer server.Close()
	p := openPool(t, Options{ResumeResponses: true}, server.URL)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/responses",
		strings.NewReader(backgroundRequest))
	req.Header.Set("Authorization", "Bearer sk-test")
	res, err := p.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err == nil || string(got) != strings.Join(events[:6], "") || served != 1 {
		t.Errorf("%v; got %d bytes", err, len(got))
	}
}

// A resumed stream that repeats what was given loses the repetition.
func TestResumeDropsRepetitions(t *testing.T) {
	events := storedEvents()
	r := &resuming{current: io.NopCloser(iotest.OneByteReader(strings.NewReader(strings.Join(events[4:], "")))),
		last: 6, rejoined: true, id: responseID}
	got, err := io.ReadAll(r)
	if want := strings.Join(events[7:], ""); string(got) != want || err != nil {
		t.Errorf("%v; got %q, want %q", err, got, want)
	}
}

// What breaks off behind the last event has lost nothing.
func TestStreamThatBreaksAfterItsEnd(t *testing.T) {
	whole := strings.Join(storedEvents(), "")
	const frame = "\n\ndata: " +
		`{"error":{"message":"m","type":"relay_error","param":null,"code":"upstream_interrupted"}}` + "\n\n"
	for name, text := range map[string]string{"a broken connection": whole, "a relay's error": whole + frame} {
		r := &resuming{current: io.NopCloser(io.MultiReader(strings.NewReader(text),
			iotest.ErrReader(io.ErrUnexpectedEOF))), last: -1}
		if got, err := io.ReadAll(r); string(got) != whole || err != nil {
			t.Errorf("%s: %v; got %d bytes, want %d: ...%q", name, err, len(got), len(whole), got[len(got)-100:])
		}
	}
}

// What one account stores, others do not have: a stream continues where the API key is
// the same, and where its route leads.
func TestResumeStaysInItsAccount(t *testing.T) {
	for _, test := range []struct {
		name  string
		keys  []string // of the upstreams 0, 1 and 2
		route Route
		saw   string // which of them saw a request
	}{
		{"same key elsewhere", []string{"sk-test", "sk-other", "sk-test"}, Route{}, "02"},
		{"another key, and none", []string{"sk-test", "sk-other", ""}, Route{}, "00"},
		{"client's key", []string{"", "sk-other", ""}, Route{Key: ClientsKey}, "02"},
		{"by name", []string{"sk-test", "sk-test", "sk-test"}, Route{Upstreams: []string{"0", "2"}}, "02"},
		{"one name", []string{"sk-test", "sk-test", "sk-test"}, Route{Upstreams: []string{"0"}}, "00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bg := &background{events: storedEvents(), cut: func(n int) (int, string) {
				if n == 0 {
					return 4, "reset"
				}
				return -1, ""
			}}
			var mu sync.Mutex
			saw := ""
			urls := make([]string, 3)
			for i := range urls {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.URL.Path != protocol.HealthPath {
						mu.Lock()
						saw += strconv.Itoa(i)
						mu.Unlock()
					}
					bg.ServeHTTP(w, req)
				}))
				t.Cleanup(server.Close)
				urls[i] = server.URL + "#" + strconv.Itoa(i)
				if key := test.keys[i]; key != "" {
					urls[i] = strings.Replace(urls[i], "://", "://:"+key+"@", 1)
				}
			}
			p := openPool(t, Options{ResumeResponses: true}, urls...)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/responses",
				strings.NewReader(backgroundRequest))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer sk-test")
			res, _, err := p.Send(req, test.route)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if want := strings.Join(storedEvents(), ""); string(got) != want || err != nil {
				t.Errorf("%d bytes and %v, want %d", len(got), err, len(want))
			}
			if saw != test.saw {
				t.Errorf("upstreams %q saw a request, want %q", saw, test.saw)
			}
		})
	}
}
