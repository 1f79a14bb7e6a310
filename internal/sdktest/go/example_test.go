package sdktest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"example.com/relay/core/failover"
	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// A program that uses openai-go prefers one region and goes on without it.
func Example() {
	// What stands here for two relays is a fake of the API; of one relay nothing
	// is left but its address.
	upstream := fakeopenai.NewUpstream()
	defer upstream.Close()
	paris, london := httptest.NewServer(nil), httptest.NewServer(upstream)
	paris.Close()
	defer london.Close()

	pool, err := failover.New([]string{paris.URL + "#paris", london.URL + "#london"}, failover.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	client := openai.NewClient(
		option.WithAPIKey("sk-example"),
		option.WithHTTPClient(&http.Client{Transport: pool}),
		option.WithMaxRetries(0), // the pool needs none for this
	)
	chat, err := client.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
		Model:    "gpt-fake",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(chat.Choices[0].Message.Content)
	// Output: Backwards → olleh
}
