package fakeopenai

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/png"
	"math"
	"net/http"
	"slices"
	"strings"
)

var models = []string{
	"gpt-5-mini", "gpt-4o-mini", "gpt-3.5-turbo-instruct", "gpt-realtime", "text-embedding-3-small",
	"omni-moderation-latest", "whisper-1", "gpt-4o-mini-tts", "gpt-image-1",
}

func (c *call) listModels() response {
	var data []object
	for _, id := range models {
		data = append(data, model(id))
	}
	return jsonResponse(200, object{"object": "list", "data": data})
}

// getModel knows the listed models and every fine-tuned one.
func (c *call) getModel() response {
	if !slices.Contains(models, c.id) && !strings.HasPrefix(c.id, "ft:") {
		return apiError(http.StatusNotFound, "invalid_request_error", "model_not_found",
			"The model '"+c.id+"' does not exist")
	}
	return jsonResponse(200, model(c.id))
}

func model(id string) object {
	return object{"id": id, "object": "model", "created": created, "owned_by": "system"}
}

func deleted(kind string) func(*call) response {
	return func(c *call) response {
		return jsonResponse(200, object{"id": c.id, "object": kind, "deleted": true})
	}
}

func (c *call) embeddings() response {
	var r struct {
		Model      string          `json:"model"`
		Input      json.RawMessage `json:"input"`
		Encoding   string          `json:"encoding_format"`
		Dimensions int             `json:"dimensions"`
	}
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	var data []object
	inputs := embeddingInputs(r.Input)
	for i, input := range inputs {
		vector := embed(input, cmp.Or(max(r.Dimensions, 0), 8))
		o := object{"object": "embedding", "index": i, "embedding": vector}
		if r.Encoding == "base64" {
			o["embedding"] = packFloats(vector)
		}
		data = append(data, o)
	}
	return jsonResponse(200, object{
		"object": "list",
		"data":   data,
		"model":  cmp.Or(r.Model, "text-embedding-3-small"),
		"usage":  object{"prompt_tokens": len(inputs), "total_tokens": len(inputs)},
	})
}

// embeddingInputs returns each input of a list, and a single one as a list: a
// text, or the tokens of one.
func embeddingInputs(input json.RawMessage) []string {
	var list []json.RawMessage
	if json.Unmarshal(input, &list) != nil || len(list) == 0 || json.Unmarshal(list[0], new(float64)) == nil {
		return []string{string(input)}
	}
	var inputs []string
	for _, one := range list {
		inputs = append(inputs, string(one))
	}
	return inputs
}

// embed returns n numbers from -1 to 1 that depend on input only.
func embed(input string, n int) []float32 {
	vector := make([]float32, n)
	for i := range vector {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		sum = sha256.Sum256(append(sum[:], input...))
		vector[i] = float32(int16(binary.LittleEndian.Uint16(sum[:]))) / (1 << 15)
	}
	return vector
}

func packFloats(vector []float32) string {
	var packed []byte
	for _, f := range vector {
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(packed)
}

// moderation flags a text that has the word "flagged" in it.
func (c *call) moderation() response {
	var r struct {
		Model string          `json:"model"`
		Input json.RawMessage `json:"input"`
	}
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	flagged := strings.Contains(contentText(r.Input), "flagged")
	categories, scores, types := object{}, object{}, object{}
	for _, category := range []string{
		"harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
		"self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
	} {
		categories[category] = flagged && category == "violence"
		scores[category] = 0.01
		types[category] = []string{"text"}
	}
	return jsonResponse(200, object{
		"id":    c.newID("modr-"),
		"model": cmp.Or(r.Model, "omni-moderation-latest"),
		"results": []object{{
			"flagged":                      flagged,
			"categories":                   categories,
			"category_scores":              scores,
			"category_applied_input_types": types,
		}},
	})
}

// images returns n PNGs of one pixel.
func (c *call) images() response {
	var r struct {
		N int `json:"n"`
	}
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	var pixel bytes.Buffer
	if err := png.Encode(&pixel, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		panic(err)
	}
	var data []object
	for range min(max(r.N, 1), 10) {
		data = append(data, object{"b64_json": base64.StdEncoding.EncodeToString(pixel.Bytes())})
	}
	return jsonResponse(200, object{"created": created, "data": data})
}
