package sigv4_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"

	"shoal/gateway/sigv4"
)

func BenchmarkAuthenticate(b *testing.B) {
	get := request{target: "/bucket/some/object-0001", header: http.Header{
		"Amz-Sdk-Invocation-Id": {"e0b0e6a1-5b1f-4e29-9f27-6a3a3e3b0f1e"}, "Amz-Sdk-Request": {"attempt=1; max=3"},
		"User-Agent": {"aws-sdk-go-v2/1.47.7"}, "X-Amz-Checksum-Mode": {"ENABLED"},
	}}
	list := request{target: "/bucket?list-type=2&prefix=some%2Fprefix%2F&delimiter=%2F&max-keys=1000"}
	for _, bb := range []struct {
		name string
		r    *http.Request
	}{
		{"header", get.sign(b)}, {"list", list.sign(b)}, {"presigned", get.presign(b, "3600")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			v := testVerifier()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Authenticate(b.Context(), bb.r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChunks(b *testing.B) {
	const size = 16 << 20
	for _, chunk := range []int{64 << 10, 1 << 20} {
		for _, payload := range []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"} {
			b.Run(strconv.Itoa(chunk>>10)+"KiB/"+payload, func(b *testing.B) {
				auth, text := benchStream(b, payload, size, chunk)
				buf := make([]byte, 1<<20)
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					next, err := testVerifier().Authenticate(b.Context(), auth)
					if err != nil {
						b.Fatal(err)
					}
					drain(b, next, text, buf)
				}
			})
		}
	}
}

func drain(b *testing.B, auth *sigv4.Auth, text, buf []byte) {
	body, err := auth.Payload.Wrap(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		b.Fatal(err)
	}
	for err == nil {
		_, err = body.Read(buf)
	}
	if err != io.EOF {
		b.Fatal(err)
	}
}

// benchStream makes a signed request and its encoded body.
func benchStream(b *testing.B, payload string, size, chunk int) (*http.Request, []byte) {
	h := http.Header{"X-Amz-Decoded-Content-Length": {strconv.Itoa(size)}}
	signed := payload == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	if !signed {
		h.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	}
	r := request{method: "PUT", payload: payload, header: h}.sign(b)
	s := newChunkSigner(r)
	data := string(make([]byte, chunk))
	var text []byte
	for range size / chunk {
		if signed {
			text = append(text, s.chunk(data)...)
		} else {
			text = append(text, strconv.FormatInt(int64(chunk), 16)+"\r\n"+data+"\r\n"...)
		}
	}
	if signed {
		return r, append(text, s.chunk("")+"\r\n"...)
	}
	return r, append(text, "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"...)
}
