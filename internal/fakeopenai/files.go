package fakeopenai

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
)

// upload is the file in a form, by what can be told of it afterwards.
type upload struct {
	name   string
	size   int64
	sum    string // hexadecimal SHA-256
	fields map[string]string
}

var errNoFile = errors.New("the form has no file")

// upload reads the form in the body.
func (c *call) upload() (upload, *response) {
	up, err := readUpload(c.req.Header.Get("Content-Type"), c.rec.Body)
	if err != nil {
		return upload{}, invalidRequest(http.StatusBadRequest, "Could not parse multipart form: %v", err)
	}
	return up, nil
}

func readUpload(contentType string, body []byte) (upload, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return upload{}, err
	}
	up := upload{fields: make(map[string]string)}
	form := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := form.NextPart()
		if err == io.EOF && up.sum == "" {
			return upload{}, errNoFile
		}
		if err == io.EOF {
			return up, nil
		}
		if err != nil {
			return upload{}, err
		}
		if err := up.add(part); err != nil {
			return upload{}, err
		}
	}
}

func (up *upload) add(part *multipart.Part) error {
	if part.FileName() == "" {
		value, err := io.ReadAll(part)
		up.fields[part.FormName()] = string(value)
		return err
	}
	hash := sha256.New()
	size, err := io.Copy(hash, part)
	up.name, up.size, up.sum = part.FileName(), size, hex.EncodeToString(hash.Sum(nil))
	return err
}

// uploadFile keeps nothing: the ID is derived from the content, and the response
// has its SHA-256 in a field of its own, which the SDKs tolerate.
func (c *call) uploadFile() response {
	up, bad := c.upload()
	if bad != nil {
		return *bad
	}
	o := file("file-"+up.sum[:24], up.name, up.size)
	o["purpose"] = up.fields["purpose"]
	o["sha256"] = up.sum
	return jsonResponse(200, o)
}

func (c *call) listFiles() response {
	data := []object{file("file-fake1", "one.jsonl", fileSize), file("file-fake2", "two.jsonl", fileSize)}
	return jsonResponse(200, object{
		"object": "list", "data": data, "first_id": "file-fake1", "last_id": "file-fake2", "has_more": false,
	})
}

func (c *call) getFile() response {
	return jsonResponse(200, file(c.id, "fake.jsonl", fileSize))
}

// fileSize is the size of all files but those that bytes=N makes.
const fileSize = 1024

func (c *call) fileContent() response {
	a := patternResponse("application/octet-stream", c.fault.size(fileSize))
	a.header.Set("Content-Disposition", `attachment; filename="fake.jsonl"`)
	return a
}

func file(id, name string, size int64) object {
	return object{
		"id":         id,
		"object":     "file",
		"bytes":      size,
		"created_at": created,
		"filename":   name,
		"purpose":    "user_data",
		"status":     "processed",
	}
}

// size returns the number of bytes that the fault wants, or else usual.
func (f Fault) size(usual int) int {
	if f.bytes != nil {
		return *f.bytes
	}
	return usual
}
