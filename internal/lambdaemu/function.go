package lambdaemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// Function is a Lambda function and how it is reached. Either Bootstrap or Run
// must be set.
type Function struct {
	// Bootstrap is the path of the executable that speaks with the Runtime API.
	// Each environment runs it as a process of its own, with the variables of
	// Lambda and Env and no other.
	Bootstrap string

	// Run takes the place of a process, in tests that need no executable. Each
	// environment calls it once, in a goroutine; api is what a process would find
	// in AWS_LAMBDA_RUNTIME_API. Returning is exiting. Killing an environment
	// cancels ctx and closes all connections to api.
	Run func(ctx context.Context, api string) error

	// Env holds the function's own variables. Run does not see them.
	Env map[string]string

	// Front is what calls the function. If empty, FunctionURL.
	Front Front

	// Mode is the invoke mode of the function URL, or the response transfer mode
	// of RESTAPI. If empty, Buffered.
	Mode Mode

	// Timeout kills an environment whose invocation takes longer. If zero, 15 minutes.
	Timeout time.Duration

	// InitTimeout kills an environment that takes longer to request its first
	// event. If zero, 10 seconds.
	InitTimeout time.Duration

	// MemoryMB is the memory size reported to the function; nothing enforces it. If zero, 128.
	MemoryMB int

	// Concurrency is how many environments there may be. If zero, 10.
	Concurrency int

	// SettleTimeout is how long a request waits for an environment that has
	// responded, but has not requested its next event, before it takes another one
	// or is throttled. Without it, sequential requests would race. If zero, one second.
	SettleTimeout time.Duration

	// Freeze stops processes (SIGSTOP) while they wait for an event.
	Freeze bool

	// Cut is what a client sees of a truncated stream. If empty, CutBroken.
	Cut Cut

	Name   string // If empty, "relay".
	Region string // If empty, "us-east-1".

	// Log gets each line of Server.Logs. It may be nil.
	Log io.Writer
}

// Front is an AWS service that calls functions on behalf of an HTTP client.
type Front string

// The fronts. All but FunctionURL and RESTAPI can only buffer.
const (
	FunctionURL   Front = "FUNCTION_URL"
	HTTPAPI       Front = "HTTP_API"        // API Gateway, payload format 2.0
	RESTAPI       Front = "REST_API"        // API Gateway, proxy integration, binary media type */*
	ALB           Front = "ALB"             // a target group without multi-value headers
	ALBMultiValue Front = "ALB_MULTI_VALUE" // a target group with them
)

// Mode is how a response travels from the function to the client.
type Mode string

// The modes, named as Terraform and CloudFormation do.
const (
	Buffered       Mode = "BUFFERED"
	ResponseStream Mode = "RESPONSE_STREAM"
)

// Cut is what a client sees of a stream that the function did not finish.
// What the real service shows is not documented.
type Cut string

// The two ways in which a truncated stream may end.
const (
	CutBroken Cut = "broken" // the connection breaks
	CutClean  Cut = "clean"  // the response looks complete
)

func (f Function) withDefaults() Function {
	f.Front = cmp.Or(f.Front, FunctionURL)
	f.Mode = cmp.Or(f.Mode, Buffered)
	f.Timeout = cmp.Or(f.Timeout, 15*time.Minute)
	f.InitTimeout = cmp.Or(f.InitTimeout, 10*time.Second)
	f.MemoryMB = cmp.Or(f.MemoryMB, 128)
	f.Concurrency = cmp.Or(f.Concurrency, 10)
	f.SettleTimeout = cmp.Or(f.SettleTimeout, time.Second)
	f.Cut = cmp.Or(f.Cut, CutBroken)
	f.Name = cmp.Or(f.Name, "relay")
	f.Region = cmp.Or(f.Region, "us-east-1")
	if f.Log == nil {
		f.Log = io.Discard
	}
	return f
}

// checked returns f with its defaults and an absolute Bootstrap.
func (f Function) checked() (Function, error) {
	f = f.withDefaults()
	var errs []error
	if (f.Bootstrap == "") == (f.Run == nil) {
		errs = append(errs, errors.New("either Bootstrap or Run must be set"))
	}
	if f.Freeze && f.Run != nil {
		errs = append(errs, errors.New("only processes can be frozen"))
	}
	if fronts[f.Front] == nil {
		errs = append(errs, fmt.Errorf("there is no front %q", f.Front))
	}
	if f.Mode != Buffered && f.Mode != ResponseStream {
		errs = append(errs, fmt.Errorf("mode %q is neither %s nor %s", f.Mode, Buffered, ResponseStream))
	}
	if f.Mode == ResponseStream && f.Front != FunctionURL && f.Front != RESTAPI {
		errs = append(errs, fmt.Errorf("%s cannot stream", f.Front))
	}
	if f.Cut != CutBroken && f.Cut != CutClean {
		errs = append(errs, fmt.Errorf("cut %q is neither %s nor %s", f.Cut, CutBroken, CutClean))
	}
	if f.Bootstrap != "" {
		path, err := filepath.Abs(f.Bootstrap)
		f.Bootstrap = path
		errs = append(errs, err)
	}
	return f, errors.Join(errs...)
}

func (f Function) arn() string {
	return "arn:aws:lambda:" + f.Region + ":123456789012:function:" + f.Name
}
