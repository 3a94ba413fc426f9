package security

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// HTTP that is not quite HTTP: one reading of it, the strict one.

func edgeAttacks() []attack {
	var all []attack
	raw := func(name string, text func(v *victim, bucket string) string) {
		all = append(all, attack{name, func(t *testing.T, v *victim) {
			b := v.bucket(t, bucketName(name))
			if a := v.sendRaw(t, http.MethodPut, []byte(text(v, b.name))); a.status/100 != 4 && a.status != http.StatusNotImplemented && a.status != http.StatusHTTPVersionNotSupported {
				t.Errorf("%v", a)
			}
			b.untouched(t)
		}})
	}
	signed := func(v *victim, bucket string) string {
		return string((&request{method: http.MethodPut, path: "/" + bucket + "/kept", as: v.root, body: []byte("smuggled")}).text(v.addr))
	}
	raw("A10 length that is far too large", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "content-length: 8", "content-length: 99999999999999999999", 1)
	})
	raw("A10 length that is negative", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "content-length: 8", "content-length: -8", 1)
	})
	raw("A10 two lengths", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "content-length: 8", "content-length: 8\r\ncontent-length: 2", 1)
	})
	raw("A10 object above the largest", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "content-length: 8", fmt.Sprintf("content-length: %d", 6<<40), 1)
	})
	raw("A10 headers of many megabytes", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "\r\n\r\n", "\r\nx-filler: "+strings.Repeat("a", 4<<20)+"\r\n\r\n", 1)
	})
	raw("A10 very many headers", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "\r\n\r\n", "\r\n"+strings.Repeat("x-filler: a\r\n", 200_000)+"\r\n", 1)
	})
	raw("A10 request line of a megabyte", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "/kept", "/"+strings.Repeat("k", 1<<20), 1)
	})
	raw("A10 encoding of the transfer that is not known", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "content-length: 8", "transfer-encoding: gzip, chunked", 1)
	})
	raw("A10 space before the colon of a header", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "content-length:", "content-length :", 1)
	})
	raw("A10 no host", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "host: "+v.addr+"\r\n", "", 1)
	})
	raw("A10 two hosts", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "host:", "host: attacker.test\r\nhost:", 1)
	})
	raw("A10 version of HTTP that is not known version", func(v *victim, b string) string {
		return strings.Replace(signed(v, b), "HTTP/1.1", "HTTP/3.7", 1)
	})
	raw("A10 bytes that are no HTTP at all", func(v *victim, b string) string { return "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n" })
	return append(all, attack{"A10 chunks beside a length", smuggled}, attack{"A10 methods that S3 does not have", methods})
}

// smuggled sends a second request in the body of a first one whose end can be read in two ways.
func smuggled(t *testing.T, v *victim) {
	b := v.bucket(t, "a10-smuggled")
	inner := string((&request{method: http.MethodPut, path: "/" + b.name + "/inner", as: v.root, body: []byte("x")}).text(v.addr))
	text := fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", v.addr, len("0\r\n\r\n")+len(inner), inner)
	v.sendRaw(t, http.MethodGet, []byte(text))
	b.untouched(t)
}

func methods(t *testing.T, v *victim) {
	b := v.bucket(t, "a10-methods")
	for _, method := range []string{"TRACE", "CONNECT", "PATCH", "PROPFIND", "get", "G\tT", "PUTT"} {
		a := v.send(t, &request{method: method, path: "/" + b.name + "/kept", as: v.root})
		if a.status/100 != 4 && a.status != http.StatusNotImplemented || strings.Contains(string(a.body), keptContent) {
			t.Errorf("%s: %v", method, a)
		}
	}
	b.untouched(t)
}
