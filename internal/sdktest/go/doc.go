// Package sdktest holds tests that OpenAI's official SDK for Go behaves through
// a relay exactly as it does without one. Nearly every test runs twice, directly
// and relayed, and compares what the SDK returned and what the upstream saw.
//
// It is a module of its own: the SDK and what that needs must not get into the
// relay's go.mod.
package sdktest
