package client

import (
	"encoding/hex"
	"sync"

	"shoal/node/api"
)

// nullVersion is what S3 calls a version made while versioning was off or suspended.
const nullVersion = "null"

// versionText is a version's ID as clients see it; "" in a bucket that was never versioned.
func versionText(v []byte, null, versioned bool) string {
	switch {
	case !versioned || len(v) == 0:
		return ""
	case null:
		return nullVersion
	}
	return hex.EncodeToString(v)
}

// parseVersion reads what versionText made, and "" as the current version.
func parseVersion(text string) (v []byte, null bool, err error) {
	switch {
	case text == "":
		return nil, false, nil
	case text == nullVersion:
		return nil, true, nil
	}
	v, err = hex.DecodeString(text)
	if err != nil || len(v) != 16 {
		return nil, false, &api.Error{Kind: api.NoSuchVersion, Op: "client.parseVersion", Version: text}
	}
	return v, false, nil
}

// Small bodies are read into reused memory.
var plains = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

func getPlain(n int) *[]byte {
	p := plains.Get().(*[]byte)
	if cap(*p) < n {
		*p = make([]byte, 0, n)
	}
	*p = (*p)[:n]
	return p
}

func putPlain(p *[]byte) { plains.Put(p) }
