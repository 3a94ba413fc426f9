package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"shoal/chunker/checksum"
)

// digest forms of a content, as headers and documents have them.

func md5Of(content string) string {
	sum := md5.Sum([]byte(content))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func base64Of(content string) string { return base64.StdEncoding.EncodeToString([]byte(content)) }

// plainETag is the ETag of an object that was put in one piece, without its quotes.
func plainETag(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

func etagOf(content string) string { return `"` + plainETag(content) + `"` }

// xmlETag is the ETag with its quotes as documents show it.
func xmlETag(content string) string { return "&quot;" + plainETag(content) + "&quot;" }

// partsETag is the ETag of an object of these parts, without its quotes.
func partsETag(parts ...string) string {
	h := md5.New()
	for _, p := range parts {
		sum := md5.Sum([]byte(p))
		h.Write(sum[:])
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(parts))
}

func sumOf(a checksum.Set, content string) string {
	sums := checksum.Sum(a, []byte(content))
	return sums.Base64(a)
}

// bytesOf gives n letters of which no stretch of 8 comes twice soon.
func bytesOf(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var b strings.Builder
	b.Grow(n + 8)
	for x := uint64(0x9e3779b97f4a7c15); b.Len() < n; x = x*6364136223846793005 + 1442695040888963407 {
		for i := range 8 {
			b.WriteByte(letters[x>>(8*i)&63])
		}
	}
	return b.String()[:n]
}

// hours is a time so many hours from now as HTTP writes it.
func hours(n int) string {
	return time.Now().Add(time.Duration(n) * time.Hour).UTC().Format(http.TimeFormat)
}

const (
	xmlHead  = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlSpace = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
)

// put is a PUT that prepares a case.
func put(key, content string) exchange { return exchange{do: "PUT /{b}/" + key, body: content} }

// puts makes empty objects.
func puts(keys ...string) []exchange {
	all := make([]exchange, len(keys))
	for i, k := range keys {
		all[i] = put(k, "")
	}
	return all
}

// gives is a GET that must give a content.
func gives(key, content string) exchange {
	return exchange{do: "GET /{b}/" + key, status: 200, exact: text(content)}
}

// gone is a GET of a key that must not be there.
func gone(key string) exchange {
	return exchange{do: "GET /{b}/" + key, status: 404, code: "NoSuchKey"}
}
