package sdktest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func embed(t *testing.T, a *api) [2]*openai.CreateEmbeddingResponse {
	const dimensions = 16
	var got [2]*openai.CreateEmbeddingResponse
	for i, format := range []openai.EmbeddingNewParamsEncodingFormat{
		openai.EmbeddingNewParamsEncodingFormatFloat, openai.EmbeddingNewParamsEncodingFormatBase64,
	} {
		res, err := a.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
			Model:          openai.EmbeddingModelTextEmbedding3Small,
			Input:          openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{prompt, "another"}},
			EncodingFormat: format,
			Dimensions:     openai.Int(dimensions),
		})
		if err != nil {
			t.Fatal(err)
		}
		got[i] = res
	}
	for i := range got[0].Data {
		floats, packed := got[0].Data[i].Embedding, got[1].Data[i].Embedding
		sameFloat := func(a, b float64) bool { return float32(a) == float32(b) }
		if len(floats) != dimensions || !slices.EqualFunc(floats, packed, sameFloat) {
			t.Errorf("embedding %d = %v as floats and %v as base64, want the same %d numbers", i, floats, packed,
				dimensions)
		}
	}
	return got
}

func TestModels(t *testing.T) {
	t.Parallel()
	type models struct {
		list    []openai.Model
		one     *openai.Model
		deleted *openai.ModelDeleted
	}
	both(t, func(t *testing.T, a *api) models {
		var m models
		pager := a.Models.ListAutoPaging(t.Context())
		for pager.Next() {
			m.list = append(m.list, pager.Current())
		}
		if err := pager.Err(); err != nil || len(m.list) < 5 {
			t.Fatalf("listed %d models with error %v, want some and none", len(m.list), err)
		}
		var err error
		if m.one, err = a.Models.Get(t.Context(), "ft:gpt-4o-mini:acme::id"); err != nil ||
			m.one.ID != "ft:gpt-4o-mini:acme::id" {
			t.Fatalf("got model %+v with error %v", m.one, err)
		}
		if m.deleted, err = a.Models.Delete(t.Context(), "ft:gpt-4o-mini:acme::id"); err != nil || !m.deleted.Deleted {
			t.Fatalf("deleted %+v with error %v", m.deleted, err)
		}
		a.wantRequests(t, 3)
		return m
	})
}

func uploadFile(t *testing.T, a *api, size int) *openai.FileObject {
	t.Helper()
	content := fakeopenai.Pattern(size)
	res, err := a.Files.New(t.Context(), openai.FileNewParams{
		File:    openai.File(bytes.NewReader(content), canary+".jsonl", "application/jsonl"),
		Purpose: openai.FilePurposeUserData,
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Filename != canary+".jsonl" || res.Bytes != int64(len(content)) {
		t.Errorf("uploaded %q of %d bytes, want %d", res.Filename, res.Bytes, len(content))
	}
	if got, want := res.JSON.ExtraFields["sha256"].Raw(), strconv.Quote(sum(content)); got != want {
		t.Errorf("the upstream got SHA-256 %s, want %s", got, want)
	}
	return res
}

func TestFileContent(t *testing.T) {
	for _, size := range []int{0, 1, 3_000_000} {
		runBoth(t, inProcess, strconv.Itoa(size), func(t *testing.T, a *api) download {
			res, err := a.Files.Content(t.Context(), "file-1",
				option.WithHeader("Fake-Fault", "bytes="+strconv.Itoa(size)))
			if err != nil {
				t.Fatal(err)
			}
			return read(t, res, size)
		})
	}
}

func speak(t *testing.T, a *api) download {
	const size = 1_000_000
	res, err := a.Audio.Speech.New(t.Context(), speechParams(),
		option.WithHeader("Fake-Fault", "bytes="+strconv.Itoa(size)))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res, size)
}

func speechParams() openai.AudioSpeechNewParams {
	return openai.AudioSpeechNewParams{
		Model: "tts-fake",
		Input: prompt,
		Voice: openai.AudioSpeechNewParamsVoiceUnion{OfAudioSpeechNewsVoiceString2: openai.String("alloy")},
	}
}

func transcribe(t *testing.T, a *api) string {
	content := fakeopenai.Pattern(777_777)
	res, err := a.Audio.Transcriptions.New(t.Context(), openai.AudioTranscriptionNewParams{
		File:  openai.File(bytes.NewReader(content), canary+".mp3", "audio/mpeg"),
		Model: "whisper-fake",
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d bytes, sha256 %s", len(content), sum(content)); res.Text != want {
		t.Errorf("the upstream heard %q, want %q", res.Text, want)
	}
	return res.RawJSON()
}

// A download is what a program can observe of a binary response.
type download struct {
	Status        int
	ContentType   string
	ContentLength int64
	Size          int
	Sum           string
}

// read reads the body of res, which must be the first n bytes of the Pattern.
func read(t *testing.T, res *http.Response, n int) download {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body, fakeopenai.Pattern(n)) {
		t.Errorf("got %d bytes that are not the %d that were sent", len(body), n)
	}
	return download{res.StatusCode, res.Header.Get("Content-Type"), res.ContentLength, len(body), sum(body)}
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
