package sdktest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/realtime"
	"github.com/openai/openai-go/v3/responses"
)

// messages are events as the upstream echoes them: small, of several frames on
// the wire perhaps, and many.
var messages = func() []json.RawMessage {
	list := []json.RawMessage{
		json.RawMessage(`{"type":"session.update","note":"CANARY café"}`),
		json.RawMessage(`{"type":"input_audio_buffer.append","audio":"` + strings.Repeat("QUFB", 64<<10) + `"}`),
	}
	return slices.Concat(list, slices.Repeat([]json.RawMessage{json.RawMessage(`{"type":"ping"}`)}, 50))
}()

// echoRealtime talks to the upstream by the SDK's realtime client.
func echoRealtime(t *testing.T, a *api) any {
	t.Helper()
	conn, err := a.Realtime.Connect(t.Context(), realtime.RealtimeConnectionOptions{},
		option.WithQuery("model", "gpt-realtime"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, message := range messages {
		if err := conn.SendRaw(t.Context(), message); err != nil {
			t.Fatal(err)
		}
		got, err := conn.RecvRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(message) {
			t.Fatalf("echo = %.100q, want %.100q", got, message)
		}
	}
	return nil
}

func TestResponsesWebSocket(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a *api) any {
		conn, err := a.Responses.Connect(t.Context(), responses.ResponseConnectionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, message := range messages {
			if err := conn.SendRaw(t.Context(), message); err != nil {
				t.Fatal(err)
			}
			got, err := conn.RecvRaw(t.Context())
			if err != nil || string(got) != string(message) {
				t.Fatalf("echo = %.100q with error %v, want %.100q", got, err, message)
			}
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		a.upstream.Wait(t, 1).WaitDone(t)
		return nil
	})
}

// meetRealtimeCut talks until the upstream cuts the connection, which must be an error.
func meetRealtimeCut(t *testing.T, a *api, fault string) any {
	t.Helper()
	conn, err := a.Realtime.Connect(t.Context(), realtime.RealtimeConnectionOptions{},
		option.WithQuery("model", "gpt-realtime"), option.WithHeader("Fake-Fault", fault))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Abort()
	if err := conn.SendRaw(t.Context(), messages[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RecvRaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := conn.RecvRaw(t.Context()); err == nil {
		t.Errorf("received %q after the cut, want an error", got)
	}
	return nil
}

// leaveRealtime drops the connection without a close frame, which the upstream must notice.
func leaveRealtime(t *testing.T, a *api) any {
	conn, err := a.Realtime.Connect(t.Context(), realtime.RealtimeConnectionOptions{},
		option.WithQuery("model", "gpt-realtime"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Abort()
	a.upstream.Wait(t, 1).WaitDone(t)
	return nil
}

// TestRealtimeRefused has relays that refuse the handshake.
func TestRealtimeRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*core.Config)
		status string
	}{
		{"no token", func(cfg *core.Config) { cfg.AccessTokens = []core.Secret{token} }, "401"},
		{"no WebSocket there", func(cfg *core.Config) { cfg.Platform.NoWebSocket = true }, "426"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := fakeopenai.StartUpstream(t)
			cfg := relayTo(u)
			test.change(&cfg)
			r := startRelay(t, cfg)
			a := newAPI(u, r.url)
			_, err := a.Realtime.Connect(t.Context(), realtime.RealtimeConnectionOptions{},
				option.WithQuery("model", "gpt-realtime"))
			if err == nil || !strings.Contains(err.Error(), test.status) {
				t.Errorf("error = %v, want one of status %s", err, test.status)
			}
			r.wantHits(t, 1)
			a.wantRequests(t, 0)
		})
	}
}
