package s3op_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/gateway/s3op"
)

func TestMatch(t *testing.T) {
	// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
	copying := http.Header{"X-Amz-Copy-Source": {"/b/k"}}
	for _, c := range []struct {
		line   string
		header http.Header
		want   string
	}{
		{"GET", nil, "ListBuckets"}, {"GET ?x-id=ListDirectoryBuckets", nil, "ListDirectoryBuckets"},
		{"GET b", nil, "ListObjects"}, {"GET b?list-type=2", nil, "ListObjectsV2"}, {"GET b?list-type=2&prefix=x&uploads", nil, "ListMultipartUploads"},
		{"GET b?versions", nil, "ListObjectVersions"}, {"GET b?location", nil, "GetBucketLocation"}, {"GET b?session", nil, "CreateSession"},
		{"GET b?analytics", nil, "ListBucketAnalyticsConfigurations"}, {"GET b?analytics&id=1", nil, "GetBucketAnalyticsConfiguration"},
		{"GET b?inventory", nil, "ListBucketInventoryConfigurations"}, {"GET b?inventory&id=1", nil, "GetBucketInventoryConfiguration"},
		{"GET b?policyStatus", nil, "GetBucketPolicyStatus"}, {"GET b?object-lock", nil, "GetObjectLockConfiguration"},
		{"PUT b", nil, "CreateBucket"}, {"PUT b?policy", nil, "PutBucketPolicy"}, {"PUT b?object-lock", nil, "PutObjectLockConfiguration"},
		{"PUT b?metadataInventoryTable", nil, "UpdateBucketMetadataInventoryTableConfiguration"},
		{"POST b?delete", nil, "DeleteObjects"}, {"POST b", nil, "PostObject"}, {"POST b?metadataTable", nil, "CreateBucketMetadataTableConfiguration"},
		{"DELETE b", nil, "DeleteBucket"}, {"DELETE b?cors", nil, "DeleteBucketCors"}, {"HEAD b", nil, "HeadBucket"},
		{"GET b/k", nil, "GetObject"}, {"GET b/k?x-id=GetObject", nil, "GetObject"}, {"GET b/k?partNumber=1", nil, "GetObject"}, {"GET b/k?uploadId=1", nil, "ListParts"},
		{"GET b/k?attributes", nil, "GetObjectAttributes"}, {"GET b/k?annotation", nil, "ListObjectAnnotations"},
		{"GET b/k?annotation&annotationName=x", nil, "GetObjectAnnotation"}, {"GET b/k?legal-hold", nil, "GetObjectLegalHold"},
		{"PUT b/k", nil, "PutObject"}, {"PUT b/k", copying, "CopyObject"}, {"PUT b/k?partNumber=1&uploadId=2", nil, "UploadPart"},
		{"PUT b/k?partNumber=1&uploadId=2", copying, "UploadPartCopy"}, {"PUT b/k?acl", nil, "PutObjectAcl"}, {"PUT b/k?acl", copying, "PutObjectAcl"},
		{"PUT b/k?renameObject", nil, "RenameObject"}, {"PUT b/k?encryption", nil, "UpdateObjectEncryption"},
		{"POST b/k?uploads", nil, "CreateMultipartUpload"}, {"POST b/k?uploadId=1", nil, "CompleteMultipartUpload"}, {"POST b/k?restore", nil, "RestoreObject"},
		{"POST b/k?select&select-type=2", nil, "SelectObjectContent"}, {"DELETE b/k", nil, "DeleteObject"}, {"DELETE b/k?uploadId=1", nil, "AbortMultipartUpload"},
		{"DELETE b/k?tagging", nil, "DeleteObjectTagging"}, {"HEAD b/k", nil, "HeadObject"}, {"POST WriteGetObjectResponse", nil, "WriteGetObjectResponse"},
		// What no operation means.
		{"POST", nil, "MethodNotAllowed"}, {"POST b/k", nil, "MethodNotAllowed"}, {"PUT b/k?uploads", nil, "MethodNotAllowed"}, {"PATCH b/k", nil, "MethodNotAllowed"},
		{"HEAD b?versioning", nil, "MethodNotAllowed"}, {"DELETE b?location", nil, "MethodNotAllowed"}, {"OPTIONS b/k", nil, "OptionsObject"}, {"OPTIONS b", nil, "OptionsObject"}, {"OPTIONS", nil, "MethodNotAllowed"}, {"GET b/k?policy", nil, "MethodNotAllowed"},
		{"PUT b?acl&policy", nil, "ConflictingQuery"}, {"GET b/k?acl&tagging", nil, "ConflictingQuery"}, {"PUT b/k?hologram", nil, "UnknownSubresource"},
		{"GET b?hologram", nil, "UnknownSubresource"}, {"GET b?hologram=1", nil, "ListObjects"}, {"DELETE b?hologram=1", nil, "UnknownSubresource"}, {"PUT b/k?x-note=1", nil, "PutObject"},
	} {
		method, target, _ := strings.Cut(c.line, " ")
		path, raw, _ := strings.Cut(target, "?")
		bucket, key, _ := strings.Cut(path, "/")
		q, err := s3op.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		h := c.header
		if h == nil {
			h = http.Header{}
		}
		if got := s3op.Match(method, bucket, key, q, h).Name; got != c.want {
			t.Errorf("%s: %s, want %s", c.line, got, c.want)
		}
	}
}

// Every operation of the SDK's model has a row: a new one in a later SDK fails here.
func TestEveryOperationOfTheModel(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sdkDir(t), "api_op_*.go"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d operations in the model, %v", len(files), err)
	}
	rows := map[string]bool{"WriteGetObjectResponse": true}
	for op := range s3op.Operations {
		if rows[op.Name] && op.Name != "WriteGetObjectResponse" {
			t.Errorf("%s is there twice", op.Name)
		}
		rows[op.Name] = true
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "api_op_"), ".go")
		if !rows[name] {
			t.Errorf("operation %s has no row", name)
		}
	}
}

func TestNotBuiltAnswers501(t *testing.T) {
	s := newServer(t)
	object(s)
	const doc = docs + "API/ErrorResponses.html"
	for op := range s3op.Operations {
		if op.Implemented() || op.Name == "PostObject" {
			continue
		}
		t.Run(op.Name, func(t *testing.T) {
			target := map[s3op.Scope]string{s3op.ServiceScope: "/", s3op.BucketScope: "/bkt", s3op.ObjectScope: "/bkt/k"}[op.Scope]
			if op.Name == "WriteGetObjectResponse" {
				target = "/WriteGetObjectResponse"
			}
			c := exchange{line: op.Method + " " + target + "?" + strings.Join(op.Query, "&"), status: 501, code: "NotImplemented", has: []string{op.Name}}
			c.check(t, s.do(c.line, nil, ""))
		})
	}
	if a := s.must("GET /bkt/k", nil, ""); a.body != "hello" {
		t.Errorf("the object is %q (%s)", a.body, doc)
	}
}

func TestParseQuery(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want s3op.Query
		bad  bool
	}{
		{raw: ""}, {raw: "&&"},
		{raw: "acl", want: s3op.Query{{Name: "acl", Bare: true}}},
		{raw: "acl=", want: s3op.Query{{Name: "acl"}}},
		{raw: "a=b&c=d=e", want: s3op.Query{{Name: "a", Value: "b"}, {Name: "c", Value: "d=e"}}},
		{raw: "a=%2525+x", want: s3op.Query{{Name: "a", Value: "%25 x"}}},
		{raw: "a;b=1", want: s3op.Query{{Name: "a;b", Value: "1"}}},
		{raw: "%61=1", want: s3op.Query{{Name: "a", Value: "1"}}},
		{raw: "a=%", bad: true}, {raw: "a=%1", bad: true}, {raw: "a=%zz", bad: true}, {raw: "a=%ff", bad: true}, {raw: "\xff", bad: true},
		{raw: strings.Repeat("a&", 129), bad: true},
	} {
		got, err := s3op.ParseQuery(c.raw)
		if (err != nil) != c.bad || len(got) != len(c.want) {
			t.Errorf("%q: %v, %v", c.raw, got, err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: %v, want %v", c.raw, got, c.want)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("PUT", "b", "k", "partNumber=1&uploadId=2")
	f.Add("GET", "", "", "x-id=ListDirectoryBuckets")
	f.Add("POST", "b", "k", "select&select-type=2&%zz")
	f.Fuzz(func(t *testing.T, method, bucket, key, raw string) {
		q, err := s3op.ParseQuery(raw)
		if err != nil {
			return
		}
		op := s3op.Match(method, bucket, key, q, http.Header{})
		if op == nil || op.Name == "" {
			t.Fatal("no operation")
		}
		if op.Method != "" && op.Method != method {
			t.Fatalf("%s for %s", op.Name, method)
		}
	})
}

func sdkDir(t *testing.T) string {
	t.Helper()
	for _, dir := range strings.Split(os.Getenv("GOFLAGS"), " ") {
		if strings.HasPrefix(dir, "-mod=vendor") {
			t.Skip("vendored")
		}
	}
	return moduleDir(t, "github.com/aws/aws-sdk-go-v2/service/s3")
}
