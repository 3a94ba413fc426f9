package s3op_test

import (
	"strings"
	"testing"
)

const reduced = "REDUCED_REDUNDANCY"

// TestStorageClass follows a class from the writes that ask for it to all answers that tell it
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html).
func TestStorageClass(t *testing.T) {
	s := newServer(t)
	bkt(s)
	asked := H{"x-amz-storage-class": reduced}
	class := func(key string) string {
		t.Helper()
		head, get := s.must("HEAD /bkt/"+key, nil, "").header.Get("x-amz-storage-class"), s.must("GET /bkt/"+key, nil, "").header.Get("x-amz-storage-class")
		attributes := s.must("GET /bkt/"+key+"?attributes", H{"x-amz-object-attributes": "StorageClass"}, "").element("StorageClass")
		if head == "" {
			head, get = "STANDARD", get+"STANDARD"
		}
		if get != head || attributes != head {
			t.Errorf("%s: HEAD says %s, GET %s, the attributes %s", key, head, get, attributes)
		}
		return head
	}
	want := func(key, name string) {
		t.Helper()
		if got := class(key); got != name {
			t.Errorf("%s is %s, want %s", key, got, name)
		}
	}
	s.must("PUT /bkt/a", asked, "x")
	s.must("PUT /bkt/b", nil, "x")
	want("a", reduced)
	want("b", "STANDARD")
	// "x-amz-storage-class: If the x-amz-storage-class header is not used, the copied object will be stored in the STANDARD Storage Class by default."
	s.must("PUT /bkt/copy", from("/bkt/a"), "")
	want("copy", "STANDARD")
	s.must("PUT /bkt/copy", from("/bkt/b", "x-amz-storage-class", reduced), "")
	want("copy", reduced)
	s.must("PUT /bkt/b", from("/bkt/b", "x-amz-storage-class", reduced), "")
	want("b", reduced)
	id := s.must("POST /bkt/mp?uploads", asked, "").element("UploadId")
	for _, line := range []string{"GET /bkt/mp?uploadId=" + id, "GET /bkt?uploads"} {
		if got := s.must(line, nil, "").element("StorageClass"); got != reduced {
			t.Errorf("%s: %s", line, got)
		}
	}
	etag := s.must("PUT /bkt/mp?partNumber=1&uploadId="+id, nil, "x").header.Get("ETag")
	s.must("POST /bkt/mp?uploadId="+id, nil, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+etag+"</ETag></Part></CompleteMultipartUpload>")
	want("mp", reduced)
	s.must("PUT /bkt/c", nil, "x")
	for _, line := range []string{"GET /bkt", "GET /bkt?list-type=2", "GET /bkt?versions"} {
		body := s.must(line, nil, "").body
		if strings.Count(body, "<StorageClass>"+reduced+"<") != 4 || strings.Count(body, "<StorageClass>STANDARD<") != 1 {
			t.Errorf("%s: %s", line, body)
		}
	}
}
