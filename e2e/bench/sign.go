package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	unsigned    = "UNSIGNED-PAYLOAD"
)

// header is a name in lower case and its value.
type header struct{ name, value string }

// signer makes AWS signatures of version 4 in the Authorization header. It may be used by many goroutines.
type signer struct {
	id, secret, region string
	file               string // that id and secret were read from, for the operator's tool

	mu  sync.Mutex // guards day and key
	day string
	key []byte
}

// sign gives the headers to send: those given, with host, date, digest of the payload and
// the signature over all of them. path and query are as they go over the wire; query must be in the order of its names.
func (s *signer) sign(now time.Time, method, path, query, host, payload string, headers []header) []header {
	stamp := now.UTC().Format("20060102T150405Z")
	headers = append(headers, header{"host", host}, header{"x-amz-content-sha256", payload}, header{"x-amz-date", stamp})
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.name, b.name) })
	var text, names strings.Builder
	text.WriteString(method + "\n" + path + "\n" + query + "\n")
	for i, h := range headers {
		text.WriteString(h.name + ":" + strings.TrimSpace(h.value) + "\n")
		if i > 0 {
			names.WriteByte(';')
		}
		names.WriteString(h.name)
	}
	text.WriteString("\n" + names.String() + "\n" + payload)
	digest := sha256.Sum256([]byte(text.String()))
	scope := stamp[:8] + "/" + s.region + "/s3/aws4_request"
	mac := sum(s.keyOf(stamp[:8]), "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(digest[:]))
	return append(headers, header{"authorization", "AWS4-HMAC-SHA256 Credential=" + s.id + "/" + scope +
		",SignedHeaders=" + names.String() + ",Signature=" + hex.EncodeToString(mac)})
}

// keyOf is the signing key of a day, which is made once.
func (s *signer) keyOf(day string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.day != day {
		k := []byte("AWS4" + s.secret)
		for _, part := range []string{day, s.region, "s3", "aws4_request"} {
			k = sum(k, part)
		}
		s.day, s.key = day, k
	}
	return s.key
}

func sum(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// escape writes a path or a value of a query as signatures want it. A path keeps its slashes.
func escape(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			strings.IndexByte("-._~", c) >= 0, c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
