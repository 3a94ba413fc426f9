package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkServe measures whole requests over one kept connection, against the store in
// memory: signature, routing, operation, access record, and net/http. The client's part
// (writing bytes that were signed before, and reading the answer) is in it.
func BenchmarkServe(b *testing.B) {
	for _, bb := range []struct {
		name string
		call
		size int
	}{
		{"get-1k", call{target: "/bucket/k1024"}, 1024},
		{"head", call{method: "HEAD", target: "/bucket/k1024"}, 0},
		{"get-1m", call{target: "/bucket/k1048576"}, 1 << 20},
		{"put-1k", call{method: "PUT", target: "/bucket/new", body: strings.Repeat("x", 1024)}, 1024},
		{"denied", call{target: "/bucket/k1024", secret: "x"}, 0},
	} {
		b.Run(bb.name, func(b *testing.B) {
			g := start(b, nil)
			g.want(call{method: "PUT", target: "/bucket"}, 200, "")
			for _, size := range []int{1 << 10, 1 << 20} {
				g.want(call{method: "PUT", target: "/bucket/k" + strconv.Itoa(size), body: strings.Repeat("x", size)}, 200, "")
			}
			text := bb.call.bytes(b, g.s3)
			conn := g.dial(g.s3)
			defer conn.Close()
			r := bufio.NewReaderSize(conn, 64<<10)
			b.SetBytes(int64(bb.size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(text); err != nil {
					b.Fatal(err)
				}
				resp, err := http.ReadResponse(r, &http.Request{Method: bb.method})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
