package failover

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// fileToken is the access token in the files of these tests.
const fileToken = "CANARY0123456789abcdef"

// terraformOutput is what terraform output -json prints for the modules of this
// repository: all outputs, each with its type.
const terraformOutput = `{
  "access_token": {"sensitive": true, "type": "string", "value": "rt_` + fileToken + `"},
  "base_urls": {"sensitive": false, "type": ["map", "string"], "value": {"eu-west-3": "https://a.example/v1"}},
  "endpoints": {
    "sensitive": true,
    "type": ["tuple", [["object", {"name": "string", "token": "string", "url": "string"}]]],
    "value": [
      {"name": "aws-eu-west-3", "token": "rt_` + fileToken + `", "url": "https://a.example"},
      {"name": "gcp-europe-west1", "token": "rt_` + fileToken + `", "url": "https://b.example/"}
    ]
  },
  "urls": {"sensitive": false, "type": ["map", "string"], "value": {"eu-west-3": "https://a.example"}}
}
`

func TestParseFile(t *testing.T) {
	withToken := "https://rt_" + fileToken + "@a.example"
	two := []string{withToken + "#aws-eu-west-3", "https://rt_" + fileToken + "@b.example/#gcp-europe-west1"}
	list := `[{"url":"https://a.example","name":"aws-eu-west-3","token":"` + fileToken + `"},
		{"token":"rt_` + fileToken + `","name":"gcp-europe-west1","url":"https://b.example/"}]`
	tests := []struct {
		name, file string
		want       []string
	}{
		{"objects", list, two},
		{"objects, white space around", "\r\n\t" + list + "\n\n", two},
		{"an object with a URL alone", `[{"url":"https://a.example"}]`, []string{"https://a.example"}},
		{"a token in the URL", `[{"url":"` + withToken + `","name":"eu"}]`, []string{withToken + "#eu"}},
		{"a name beside one in the URL", `[{"url":"https://a.example#old","name":"new"}]`,
			[]string{"https://a.example#new"}},
		{"a token that a URL must escape", `[{"url":"https://a.example","token":"a:b@c/d?e#f%g"}]`,
			[]string{"https://rt_a%3Ab%40c%2Fd%3Fe%23f%25g@a.example"}},
		{"empty name and token", `[{"url":"https://a.example/v1","name":"","token":""}]`,
			[]string{"https://a.example/v1"}},
		{"URLs", `["` + withToken + `", "https://b.example#b"]`, []string{withToken, "https://b.example#b"}},
		{"a loopback address", `["http://127.0.0.1:8787"]`, []string{"http://127.0.0.1:8787"}},
		{"bare endpoints", `{"endpoints":` + list + `}`, two},
		{"bare endpoints beside others", `{"urls":["https://x.example"],"endpoints":` + list + `,"token":1}`, two},
		{"bare URLs as endpoints", `{"endpoints":["https://a.example"]}`, []string{"https://a.example"}},
		{"all outputs of Terraform", terraformOutput, two},
		{"one output of Terraform", `{"sensitive":true,"type":"dynamic","value":` + list + `}`, two},
		{"text that holds JSON", quoted(list), two},
		{"a byte order mark", "\xef\xbb\xbf" + list, two},
		{"UTF-16, little-endian", utf16Text(list, binary.LittleEndian, true), two},
		{"UTF-16, big-endian", utf16Text(list, binary.BigEndian, true), two},
		{"UTF-16, little-endian, no mark", utf16Text(list, binary.LittleEndian, false), two},
		{"UTF-16, big-endian, no mark", utf16Text(list, binary.BigEndian, false), two},
		{"members in capitals", `[{"URL":"https://a.example","Name":"n"}]`, []string{"https://a.example#n"}},
		{"an output whose value is text",
			`{"endpoints":{"sensitive":true,"type":"string","value":` + quoted(list) + `}}`, two},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseFile([]byte(test.file), Options{})
			if err != nil || !slices.Equal(got, test.want) {
				t.Fatalf("ParseFile(%s) = %q, %v, want %q", test.file, got, err, test.want)
			}
			p, err := New(got, Options{})
			if err != nil {
				t.Fatalf("New(ParseFile(%s)): %v", test.file, err)
			}
			p.Close()
		})
	}
}

// utf16Text returns text in UTF-16, with or without a byte order mark.
func utf16Text(text string, order binary.AppendByteOrder, mark bool) string {
	var b []byte
	if mark {
		b = order.AppendUint16(b, 0xfeff)
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// The name and the token of a file arrive where they belong.
func TestParseFileReachesThePool(t *testing.T) {
	urls, err := ParseFile([]byte(`[{"url":"https://a.example/base/v1/","name":"aws-eu","token":"a:b@c/d?e#f%g"},`+
		`{"url":"https://b.example"}]`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := openPool(t, Options{}, urls...)
	list := p.list()
	if got := list[0]; got.name != "aws-eu" || got.token != "a:b@c/d?e#f%g" ||
		got.base.String() != "https://a.example/base" {
		t.Errorf("upstream 1 = %q %q %s", got.name, got.token, got.base)
	}
	if got := list[1]; got.name != "b.example" || got.token != "" {
		t.Errorf("upstream 2 = %q %q", got.name, got.token)
	}
}

// A key is sent as it is in the file, whatever characters it has.
func TestParseFileKeys(t *testing.T) {
	const key = `a/b:c@d?e#f%g"h\`
	urls, err := ParseFile([]byte(`[{"url":"https://a.example/openai/v1","api_key":`+strconv.Quote(key)+
		`,"token":"t","name":"azure"},`+
		`{"url":"https://rt_u@b.example","api_key":"k"},{"url":"https://api.openai.com","api_key":"o"}]`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	list := openPool(t, Options{}, urls...).list()
	for i, want := range []struct{ key, token, base, name string }{
		{key, "t", "https://a.example/openai", "azure"}, {"k", "u", "https://b.example", "b.example"},
		{"o", "", "https://api.openai.com", "api.openai.com"},
	} {
		if u := list[i]; u.key != want.key || u.token != want.token || u.base.String() != want.base ||
			u.name != want.name {
			t.Errorf("upstream %d has %q %q %s %s, want %+v", i+1, u.key, u.token, u.base, u.name, want)
		}
	}
}

// quoted returns JSON as a JSON string.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(text) + `"`
}

func TestParseFileRefuses(t *testing.T) {
	token := `"` + fileToken + `"`
	tests := []struct{ name, file, want string }{
		{"nothing", "", "JSON list"},
		{"white space", " \n", "JSON list"},
		{"an empty list", "[]", "names no upstream"},
		{"no endpoints", `{"endpoints":[]}`, "names no upstream"},
		{"endpoints that are null", `{"endpoints":null}`, "JSON list"},
		{"null", "null", "JSON list"},
		{"a number", "7", "JSON list"},
		{"no JSON", "https://rt_" + fileToken + "@a.example", "JSON list"},
		{"cut off", `[{"url":"https://a.example","token":"` + fileToken, "JSON list"},
		{"two files in one", `[{"url":"https://a.example","token":` + token + `}] [{"url":"https://b.example"}]`,
			"JSON list"},
		{"something behind", `[{"url":"https://a.example","token":` + token + `}] ` + fileToken, "JSON list"},
		{"one object", `{"url":"https://a.example","token":` + token + `}`, "JSON list"},
		{"both endpoints and value", `{"endpoints":["https://a.example"],"value":["https://b.example"]}`, "JSON list"},
		{"the URLs of Terraform", `{"eu-west-3":"https://a.example"}`, "JSON list"},
		{"a misspelt field", `[{"url":"https://a.example","tokne":` + token + `}]`,
			`entry 1: has the unknown member "tokne"`},
		{"an unknown field", `[{"url":"https://a.example","region":"eu","token":` + token + `}]`,
			`the unknown member "region"`},
		{"an unknown field in the second entry",
			`[{"url":"https://a.example"},{"url":"https://c.example","` + fileToken + `":1}]`,
			"entry 2: has an unknown member"},
		{"UTF-16, cut off", "\xff\xfe[\x00]", "UTF-16"},
		{"plain http to a private address", `["http://10.0.0.1"]`, "RELAY_ALLOW_PRIVATE_HTTP"},
		{"a token that is no text", `[{"url":"https://a.example","token":{"x":` + token + `}}]`, "JSON list"},
		{"URLs and objects", `["https://a.example",{"url":"https://b.example"}]`, "JSON list"},
		{"no URL", `[{"name":"x","token":` + token + `}]`, "entry 1: needs a url"},
		{"null as an entry", `["https://a.example",null]`, "entry 2: needs a url"},
		{"a URL without a scheme", `[{"url":"a.example","token":` + token + `}]`, "entry 1: needs a url"},
		{"a URL that is none", `[{"url":"https://` + fileToken + ` @a"}]`, "entry 1: needs a url"},
		{"a second entry that is bad", `["https://a.example","https://rt_` + fileToken + `@b.example?x"]`,
			"entry 2: must not have a query"},
		{"plain http", `[{"url":"http://a.example","token":` + token + `}]`, "entry 1: must be https"},
		{"a token in both places", `[{"url":"https://rt_` + fileToken + `@a.example","token":` + token + `}]`,
			"entry 1: has a token in its url and another beside it"},
		{"a user name", `["https://` + fileToken + `@a.example"]`, "entry 1: must not hold a user name"},
		{"a password", `["https://rt_` + fileToken + `:` + fileToken + `@a.example"]`,
			"entry 1: must not hold a user name or password"},
		{"a token with a space", `[{"url":"https://a.example","token":"` + fileToken + ` "}]`,
			"entry 1: holds an access token that is empty or has"},
		{"a token with a line break", `[{"url":"https://a.example","token":"` + fileToken + `\r\nX: y"}]`,
			"entry 1: holds an access token that is empty or has"},
		{"a token that is a prefix", `[{"url":"https://a.example","token":"rt_"}]`,
			"entry 1: holds an access token that is empty or has"},
		{"a token for OpenAI", `[{"url":"https://api.openai.com","token":` + token + `}]`,
			"entry 1: must not hold an access token"},
		{"a name with a line break", `[{"url":"https://a.example","name":"a\r\nb","token":` + token + `}]`,
			"entry 1: has a name"},
		{"a key with a space", `[{"url":"https://a.example","api_key":"` + fileToken + ` "}]`,
			"entry 1: has an API key that is empty or has"},
		{"a key that is no text", `[{"url":"https://a.example","api_key":7}]`, "JSON list"},
		{"a key in the URL", `[{"url":"https://:` + fileToken + `@a.example"}]`,
			"entry 1: must not hold a user name or password"},
		{"two keys of one API", `[{"url":"https://a.example","api_key":"x"},{"url":"https://a.example/v1","api_key":` +
			token + `}]`, "entry 2: is the same upstream as entry 1"},
		{"twice the same", `["https://b.example","https://a.example/v1","https://rt_` + fileToken + `@a.example#x"]`,
			"entry 3: is the same upstream as entry 2"},
		{"a deep nest", `{"value":{"value":{"value":{"value":["https://a.example"]}}}}`, "JSON list"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseFile([]byte(test.file), Options{})
			if err == nil {
				t.Fatalf("ParseFile(%s) = %q, want an error", test.file, got)
			}
			if got != nil {
				t.Errorf("ParseFile(%s) = %q beside an error", test.file, got)
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), fileToken) ||
				strings.Contains(err.Error(), "a.example") {
				t.Errorf("ParseFile(%s): %v, want %q and nothing of the file", test.file, err, test.want)
			}
		})
	}
}

// What ParseFile accepts, New accepts. No error quotes.
func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{
		terraformOutput, quoted(`["https://a.example"]`), `{"endpoints":["https://a.example"]}`, `[]`, `[null]`,
		`{"value":"\"\""}`,
		`[{"url":"https://a.example#n","name":"m","token":"` + fileToken + `"}]`,
		`[{"url":"https://rt_` + fileToken + `@a.example/%2f/v1","token":"` + fileToken + `"}]`,
		`["https://rt_` + fileToken + `@a.example:0#x y"]`, `["https://a.example","https://a.example/v1"]`,
		`["http://[::1]:80/a%00"]`,
		`[{"url":"https://` + fileToken + `%zz@a.example"}]`,
		`[{"url":"https://a.example/openai/v1","api_key":"` + fileToken +
			`"},{"URL":"https://b.example","Api_Key":"a/b:@%"}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		urls, err := ParseFile(data, Options{})
		if err == nil {
			if len(urls) == 0 {
				t.Fatal("accepted, and names no upstream")
			}
			p, err := New(urls, Options{})
			if err != nil {
				t.Fatalf("New(%q): %v", urls, err)
			}
			p.Close()
			return
		}
		if strings.Contains(err.Error(), fileToken) {
			t.Fatalf("the error quotes the token: %v", err)
		}
	})
}
