package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"example.com/relay/core"
)

const tokenUsage = `usage: relay token new NAME

Makes an access token for a person or program and prints it with its hash, and with
the hash as an entry of RELAY_ACCESS_TOKENS and of the Terraform modules' tokens. It is
stored nowhere: only whoever gets the first line has it.
`

// runToken runs relay token.
func runToken(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		fmt.Fprint(stdout, tokenUsage)
		return exitOK
	}
	if len(args) != 2 || args[0] != "new" {
		fmt.Fprint(stderr, tokenUsage)
		return exitUsage
	}
	name := args[1]
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails, see crypto/rand
	token := hex.EncodeToString(secret[:])
	sum := sha256.Sum256([]byte(token))
	hash := hex.EncodeToString(sum[:])
	entry, _ := json.Marshal(struct { // strings can be encoded
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
	}{name, hash})
	if _, err := core.ParseEnv([]string{"RELAY_ACCESS_TOKENS=[" + string(entry) + "]"}); err != nil {
		fmt.Fprintf(stderr, "relay: %q is not a name for a token: use up to 64 letters, digits and the characters "+
			"._@-, beginning with a letter or digit\n", name)
		return exitUsage
	}
	key := name
	if strings.ContainsAny(name, ".@") || name[0] >= '0' && name[0] <= '9' {
		key = `"` + name + `"` // no identifier of Terraform's language
	}
	fmt.Fprintf(stdout, `token:     %s
hash:      sha256:%s
setting:   RELAY_ACCESS_TOKENS=[%s]
terraform: tokens = { %s = { sha256 = "%s" } }
`, token, hash, entry, key, hash)
	return exitOK
}
