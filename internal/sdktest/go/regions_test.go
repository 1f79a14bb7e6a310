package sdktest

import (
	"strings"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3/option"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
	"example.com/relay/internal/torture"
)

// TestRegionFaults is row C16 of the matrix: through rows C01 to C03, with
// regions and gateway as processes, the SDK's default retries leave no error
// of a call that is no stream. The other rows are in package torture.
func TestRegionFaults(t *testing.T) {
	t.Run("C16", func(t *testing.T) { t.Run("gateway", regionsUnderSDK) })
}

func regionsUnderSDK(t *testing.T) {
	torture.Row(t, "C16", "gateway")
	for name, fault := range map[string]regions.Fault{
		"C01 refused":      regions.Refused,
		"C01 reset":        regions.Reset,
		"C02":              regions.Dead(),
		"C03 Google 503":   regions.Serving(regions.GCFUnavailable),
		"C03 Lambda 429":   regions.Serving(regions.LambdaThrottle),
		"C03 Lambda 403":   regions.Serving(regions.LambdaForbidden),
		"C03 Vercel 404":   regions.Serving(regions.VercelNotFound),
		"platform crashes": regions.Serving(regions.LambdaCrash),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fleet := regions.StartTest(t, regions.Options{TLS: true})
			var log proc.Buffer
			t.Cleanup(func() {
				if text := log.String(); strings.Contains(text, canary) || strings.Contains(text, "panic") {
					t.Errorf("the gateway's log:\n%s", text)
				}
			})
			// The log is complete when the gateway has ended.
			a := newAPI(fleet.Upstream, fleet.GatewayTest(t, proc.Options{Log: &log}).Base)
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() {
					for range 50 {
						res, err := a.Chat.Completions.New(t.Context(), chatParams(),
							option.WithHeader("Fake-Fault", "delay=5ms"))
						if err != nil {
							t.Errorf("a call failed: %v", err)
						} else if got, want := res.Choices[0].Message.Content, fakeopenai.Reply(prompt); got != want {
							t.Errorf("content = %q, want %q", got, want)
						}
					}
				})
			}
			fleet.Upstream.WaitArrived(t, 60)
			if err := fleet.Regions[0].Front.Set(fault); err != nil {
				t.Error(err)
			}
			wait.Wait()
			if n := len(fleet.Regions[1].Front.Served()); n == 0 {
				t.Error("no other region was used")
			}
		})
	}
}
