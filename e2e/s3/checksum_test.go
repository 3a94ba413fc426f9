package s3

import (
	"fmt"
	"strings"

	"shoal/chunker/checksum"
)

// uploadChecksumFamily holds checksums of uploads, of all bytes and of their parts' checksums, against the page that
// lists which algorithm has which.
func uploadChecksumFamily() family {
	doc := docs + "userguide/checking-object-integrity-upload.html"
	var cases []exchange
	for _, a := range []checksum.Set{checksum.CRC32, checksum.CRC32C, checksum.CRC64NVME, checksum.SHA1, checksum.SHA256} {
		for _, kind := range []string{"FULL_OBJECT", "COMPOSITE"} {
			full := kind == "FULL_OBJECT"
			if full && !a.CanCombine() || !full && !a.CanCompose() {
				cases = append(cases, exchange{name: a.Name() + " cannot be " + kind, do: "POST /{b}/k?uploads", head: H{"x-amz-checksum-algorithm": a.Name(), "x-amz-checksum-type": kind},
					status: 400, code: "InvalidRequest"})
				continue
			}
			cases = append(cases, checksumCases(a, kind)...)
		}
	}
	return family{name: "upload checksum", doc: doc, cases: cases}
}

// checksumCases are the cases of one algorithm and type: an upload of two parts, of which the first is as small as
// it may be.
func checksumCases(a checksum.Set, kind string) []exchange {
	first, last := bytesOf(5<<20), "the end"
	whole := sumOf(a, first+last)
	if kind == "COMPOSITE" {
		whole = compositeOf(a, first, last)
	}
	begin := exchange{do: "POST /{b}/k?uploads", head: H{"x-amz-checksum-algorithm": a.Name(), "x-amz-checksum-type": kind}, status: 200, save: H{"id": "<UploadId>"},
		want: H{"x-amz-checksum-algorithm": a.Name(), "x-amz-checksum-type": kind}}
	send := func(n int, body, sum string) exchange {
		return exchange{do: fmt.Sprintf("PUT /{b}/k?partNumber=%d&uploadId={id}", n), head: H{a.Header(): sum}, body: body, status: 200, want: H{a.Header(): sum}}
	}
	item := func(n int, body string) string {
		return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Checksum%s>%s</Checksum%s></Part>", n, plainETag(body), a.Name(), sumOf(a, body), a.Name())
	}
	both := "<CompleteMultipartUpload>" + item(1, first) + item(2, last) + "</CompleteMultipartUpload>"
	sent := []exchange{begin, send(1, first, sumOf(a, first)), send(2, last, sumOf(a, last))}
	named := a.Name() + " " + kind + ": "
	done := func(name string, h H, body string, status int, code string, then ...exchange) exchange {
		return exchange{name: named + name, before: sent, do: "POST /{b}/k?uploadId={id}", head: h, body: body, status: status, code: code, then: then}
	}
	reads := exchange{do: "HEAD /{b}/k", head: H{"x-amz-checksum-mode": "ENABLED"}, status: 200, want: H{a.Header(): whole, "x-amz-checksum-type": kind}}
	answer := []string{"<Checksum" + a.Name() + ">" + whole + "</Checksum" + a.Name() + "><ChecksumType>" + kind + "</ChecksumType>"}
	good := done("complete", H{a.Header(): whole, "x-amz-checksum-type": kind, "x-amz-mp-object-size": itoa(len(first) + len(last))}, both, 200, "", reads)
	good.has = answer
	plain := done("nothing expected", nil, both, 200, "", reads)
	plain.has = answer
	return []exchange{
		good, plain,
		done("another checksum expected", H{a.Header(): sumOf(a, "other")}, both, 400, "BadDigest", gone("k")),
		done("another size expected", H{"x-amz-mp-object-size": "7"}, both, 400, "InvalidRequest", gone("k")),
		done("another checksum of a part", nil, strings.Replace(both, sumOf(a, last), sumOf(a, "other"), 1), 400, "InvalidPart", gone("k")),
		{name: named + "part with another checksum", before: []exchange{begin}, do: "PUT /{b}/k?partNumber=1&uploadId={id}", head: H{a.Header(): sumOf(a, "other")}, body: last, status: 400, code: "BadDigest"},
		{name: named + "listed", before: sent, do: "GET /{b}/k?uploadId={id}", status: 200,
			has: []string{"<ChecksumAlgorithm>" + a.Name() + "</ChecksumAlgorithm><ChecksumType>" + kind + "</ChecksumType>", "<Checksum" + a.Name() + ">" + sumOf(a, first), "<Checksum" + a.Name() + ">" + sumOf(a, last)}},
	}
}

// compositeOf is the checksum of the parts' checksums.
func compositeOf(a checksum.Set, parts ...string) string {
	var sums []byte
	for _, p := range parts {
		s := checksum.Sum(a, []byte(p))
		sums = append(sums, s.Bytes(a)...)
	}
	return fmt.Sprintf("%s-%d", sumOf(a, string(sums)), len(parts))
}
