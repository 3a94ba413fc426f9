package s3op_test

import (
	"fmt"
	"strings"
	"testing"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/gateway/iam"
	"shoal/gateway/s3op"
	"shoal/node/api"
)

// as makes whoever asks a user with policies; "" in the place of one makes it a stranger.
func (s *server) as(documents ...string) {
	s.t.Helper()
	s.caller = iam.Caller{Principal: acl.Principal{Kind: acl.User, ID: "user:alice", Name: "alice", Account: api.Account}}
	for i, text := range documents {
		if text == "" {
			s.caller = iam.Caller{}
			return
		}
		p, err := policy.ParseIdentity(fmt.Sprint("p", i), []byte(text))
		if err != nil {
			s.t.Fatal(err)
		}
		s.caller.Identity = append(s.caller.Identity, p)
	}
}

// root makes root ask again.
func (s *server) root() { s.caller = iam.Root() }

// allow is a policy that allows actions on resources below arn:aws:s3:::, or on everything.
func allow(actions string, resources ...string) string {
	list := `"*"`
	for i, r := range resources {
		if i == 0 {
			list = ""
		} else {
			list += ","
		}
		list += `"arn:aws:s3:::` + r + `"`
	}
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["` + strings.ReplaceAll(actions, " ", `","`) + `"],"Resource":[` + list + `]}}`
}

// bodies are what operations want to read before they ask for a right.
var bodies = map[string]string{
	"PutBucketTagging":   `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`,
	"PutObjectTagging":   `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`,
	"PutObjectRetention": `<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>`,
	"PutObjectLegalHold": `<LegalHold><Status>ON</Status></LegalHold>`,
	"DeleteObjects":      `<Delete><Object><Key>key</Key></Object></Delete>`,
}

// TestDefaultDeny: whoever has no right gets nothing of any operation, and changes nothing.
func TestDefaultDeny(t *testing.T) {
	s := newServer(t)
	s.must("PUT /bucket", nil, "")
	s.must("PUT /bucket/key", nil, "content")
	md5 := H{"Content-Md5": ""}
	for op := range s3op.Operations {
		if !op.Implemented() || op.Name == "PostObject" {
			continue
		}
		target := "/"
		switch op.Scope {
		case s3op.BucketScope:
			if target = "/bucket"; op.Name == "CreateBucket" {
				target = "/another"
			}
		case s3op.ObjectScope:
			target = "/bucket/key"
		}
		headers, body := H{}, bodies[op.Name]
		if body != "" {
			md5["Content-Md5"] = md5Of(body)
			headers = md5
		}
		if len(op.Headers) > 0 {
			headers = H{"X-Amz-Copy-Source": "/bucket/key"}
		}
		query := strings.Join(op.Query, "&")
		if strings.Contains(query, "partNumber") {
			query = "partNumber=1&uploadId=u"
		}
		line := op.Method + " " + target + "?" + query
		for who, documents := range map[string][]string{"a user": nil, "a stranger": {""}, "one with another right": {allow("s3:RestoreObject")}} {
			s.as(documents...)
			a := s.do(line, headers, body)
			if op.Name == "DeleteObjects" {
				if a.status != 200 || a.element("Code") != "AccessDenied" || strings.Contains(a.body, "<Deleted>") {
					t.Errorf("%s by %s: %d %s", op.Name, who, a.status, a.body)
				}
				continue
			}
			if a.status != 403 || op.Method != "HEAD" && a.code() != "AccessDenied" {
				t.Errorf("%s (%s) by %s: %d %s", op.Name, line, who, a.status, a.body)
			}
		}
	}
	s.root()
	if a := s.must("GET /bucket/key", nil, ""); a.body != "content" {
		t.Errorf("content %q", a.body)
	}
	if a := s.do("HEAD /another", nil, ""); a.status != 404 {
		t.Errorf("a bucket was made: %d", a.status)
	}
}

// TestRights: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3"; API
// Reference, "Permissions" of each operation.
func TestRights(t *testing.T) {
	const lock = "2030-01-01T00:00:00Z"
	tag := H{"X-Amz-Tagging": "class=a"}
	for _, tt := range []struct {
		name    string
		rights  []string
		line    string
		headers H
		want    int
	}{
		{"read one prefix", []string{allow("s3:GetObject", "bkt/docs/*")}, "GET /bkt/docs/a", nil, 200},
		{"read elsewhere", []string{allow("s3:GetObject", "bkt/docs/*")}, "GET /bkt/other", nil, 403},
		{"head takes the right to get", []string{allow("s3:GetObject", "bkt/docs/*")}, "HEAD /bkt/docs/a", nil, 200},
		{"a right on the bucket is none on its keys", []string{allow("s3:GetObject s3:ListBucket", "bkt")}, "GET /bkt/docs/a", nil, 403},
		{"deny wins", []string{allow("s3:*"), `{"Statement":{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/docs/*"}}`}, "GET /bkt/docs/a", nil, 403},
		{"deny spares others", []string{allow("s3:*"), `{"Statement":{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/docs/*"}}`}, "GET /bkt/other", nil, 200},
		{"a missing key for who may list", []string{allow("s3:GetObject", "bkt/*"), allow("s3:ListBucket", "bkt")}, "GET /bkt/none", nil, 404},
		{"a missing key for who may not", []string{allow("s3:GetObject", "bkt/*")}, "GET /bkt/none", nil, 403},
		{"head of a missing key for who may not list", []string{allow("s3:GetObject", "bkt/*")}, "HEAD /bkt/none", nil, 403},
		{"tags of a missing key for who may not list", []string{allow("s3:GetObjectTagging", "bkt/*")}, "GET /bkt/none?tagging", nil, 403},
		{"a missing bucket", nil, "GET /none/key", nil, 404},
		{"a version takes a right of its own", []string{allow("s3:GetObject")}, "GET /bkt/docs/a?versionId=null", nil, 403},
		{"a version", []string{allow("s3:GetObjectVersion")}, "GET /bkt/docs/a?versionId=null", nil, 200},
		{"attributes take two", []string{allow("s3:GetObjectAttributes")}, "GET /bkt/docs/a?attributes", H{"X-Amz-Object-Attributes": "ETag"}, 403},
		{"attributes", []string{allow("s3:GetObjectAttributes s3:GetObject")}, "GET /bkt/docs/a?attributes", H{"X-Amz-Object-Attributes": "ETag"}, 200},
		{"put", []string{allow("s3:PutObject", "bkt/*")}, "PUT /bkt/new", nil, 200},
		{"put with tags", []string{allow("s3:PutObject", "bkt/*")}, "PUT /bkt/new", tag, 403},
		{"put with tags and the right to", []string{allow("s3:PutObject s3:PutObjectTagging", "bkt/*")}, "PUT /bkt/new", tag, 200},
		{"put with an ACL", []string{allow("s3:PutObject")}, "PUT /bkt/new", H{"X-Amz-Acl": "private"}, 403},
		{"put with a retention", []string{allow("s3:PutObject")}, "PUT /bkt/new", H{"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date": lock}, 403},
		{"put with a legal hold", []string{allow("s3:PutObject")}, "PUT /bkt/new", H{"X-Amz-Object-Lock-Legal-Hold": "ON"}, 403},
		{"put that compares", []string{allow("s3:PutObject")}, "PUT /bkt/docs/a", H{"If-Match": "x"}, 403},
		{"put that creates", []string{allow("s3:PutObject")}, "PUT /bkt/new", H{"If-None-Match": "*"}, 200},
		{"an upload with tags", []string{allow("s3:PutObject")}, "POST /bkt/new?uploads", tag, 403},
		{"an upload", []string{allow("s3:PutObject")}, "POST /bkt/new?uploads", nil, 200},
		{"abort", []string{allow("s3:PutObject")}, "DELETE /bkt/new?uploadId=u", nil, 403},
		{"copy without the source", []string{allow("s3:PutObject", "bkt/*")}, "PUT /bkt/new", H{"X-Amz-Copy-Source": "bkt/docs/a"}, 403},
		{"copy", []string{allow("s3:PutObject", "bkt/*"), allow("s3:GetObject", "bkt/docs/*")}, "PUT /bkt/new", H{"X-Amz-Copy-Source": "bkt/docs/a"}, 200},
		{"copy of a version", []string{allow("s3:PutObject", "bkt/*"), allow("s3:GetObject", "bkt/docs/*")}, "PUT /bkt/new", H{"X-Amz-Copy-Source": "bkt/docs/a?versionId=null"}, 403},
		{"copy of tags", []string{allow("s3:PutObject s3:GetObject", "bkt/*")}, "PUT /bkt/new", H{"X-Amz-Copy-Source": "bkt/tagged"}, 403},
		{"copy of tags with the rights", []string{allow("s3:PutObject s3:GetObject s3:GetObjectTagging s3:PutObjectTagging", "bkt/*")}, "PUT /bkt/new", H{"X-Amz-Copy-Source": "bkt/tagged"}, 200},
		{"a copied part without the source", []string{allow("s3:PutObject", "bkt/*")}, "PUT /bkt/new?partNumber=1&uploadId=u", H{"X-Amz-Copy-Source": "bkt/docs/a"}, 403},
		{"rename without the source", []string{allow("s3:PutObject", "bkt/*")}, "PUT /bkt/new?renameObject", H{"X-Amz-Rename-Source": "bkt/docs/a"}, 403},
		{"rename", []string{allow("s3:PutObject s3:GetObject s3:DeleteObject", "bkt/*")}, "PUT /bkt/new?renameObject", H{"X-Amz-Rename-Source": "bkt/docs/a"}, 200},
		{"delete", []string{allow("s3:DeleteObject", "bkt/docs/*")}, "DELETE /bkt/docs/a", nil, 204},
		{"delete a version", []string{allow("s3:DeleteObject", "bkt/docs/*")}, "DELETE /bkt/docs/a?versionId=null", nil, 403},
		{"delete round a retention", []string{allow("s3:DeleteObject s3:DeleteObjectVersion", "bkt/docs/*")}, "DELETE /bkt/docs/a?versionId=null", H{"X-Amz-Bypass-Governance-Retention": "true"}, 403},
		{"list", []string{allow("s3:ListBucket", "bkt")}, "GET /bkt?list-type=2", nil, 200},
		{"list one prefix", []string{prefixOnly}, "GET /bkt?list-type=2&prefix=docs/", nil, 200},
		{"list another prefix", []string{prefixOnly}, "GET /bkt?list-type=2&prefix=other/", nil, 403},
		{"list without a prefix", []string{prefixOnly}, "GET /bkt?list-type=2", nil, 403},
		{"list versions", []string{allow("s3:ListBucket", "bkt")}, "GET /bkt?versions", nil, 403},
		{"all buckets", []string{allow("s3:ListAllMyBuckets")}, "GET /", nil, 200},
		{"create a bucket", []string{allow("s3:CreateBucket")}, "PUT /brand-new", nil, 200},
		{"create a bucket with object lock", []string{allow("s3:CreateBucket")}, "PUT /brand-new", H{"X-Amz-Bucket-Object-Lock-Enabled": "true"}, 403},
		{"a tag decides", []string{tagOnly}, "GET /bkt/tagged", nil, 200},
		{"without the tag", []string{tagOnly}, "GET /bkt/docs/a", nil, 403},
		{"a condition on the address", []string{fromHere("127.0.0.0/8")}, "GET /bkt/docs/a", nil, 200},
		{"from another address", []string{fromHere("192.0.2.0/24")}, "GET /bkt/docs/a", nil, 403},
		{"no address is taken from headers", []string{fromHere("192.0.2.0/24")}, "GET /bkt/docs/a", H{"X-Forwarded-For": "192.0.2.1"}, 403},
		{"strangers", []string{""}, "GET /bkt/docs/a", nil, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			for _, line := range []string{"PUT /bkt", "PUT /bkt/docs/a", "PUT /bkt/other"} {
				s.must(line, nil, "")
			}
			s.must("PUT /bkt/tagged", H{"X-Amz-Tagging": "class=open"}, "")
			s.as(tt.rights...)
			if a := s.do(tt.line, tt.headers, ""); a.status != tt.want {
				t.Errorf("%d %s, want %d", a.status, a.body, tt.want)
			}
		})
	}
}

const prefixOnly = `{"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bkt","Condition":{"StringLike":{"s3:prefix":"docs/*"}}}}`

const tagOnly = `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/class":"open"}}}}`

func fromHere(cidr string) string {
	return `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"` + cidr + `"}}}}`
}

// TestDeleteObjectsOneByOne: each key is authorised on its own.
func TestDeleteObjectsOneByOne(t *testing.T) {
	s := newServer(t)
	for _, line := range []string{"PUT /bkt", "PUT /bkt/mine/a", "PUT /bkt/theirs/a"} {
		s.must(line, nil, "")
	}
	s.as(allow("s3:DeleteObject", "bkt/mine/*"))
	body := `<Delete><Object><Key>mine/a</Key></Object><Object><Key>theirs/a</Key></Object><Object><Key>mine/a</Key><VersionId>null</VersionId></Object></Delete>`
	a := s.must("POST /bkt?delete", H{"Content-Md5": md5Of(body)}, body)
	if strings.Count(a.body, "<Deleted>") != 1 || strings.Count(a.body, "<Code>AccessDenied</Code>") != 2 {
		t.Errorf("answer %s", a.body)
	}
	s.root()
	if s.do("HEAD /bkt/mine/a", nil, "").status != 404 || s.do("HEAD /bkt/theirs/a", nil, "").status != 200 {
		t.Error("another key than the permitted one was removed, or that was not")
	}
}

// TestFormSender: what a policy says of who sends a form holds for the headers of its request, and fields of their names
// are nothing.
func TestFormSender(t *testing.T) {
	s := newPolicyServer(t)
	const policy = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bkt/*","Condition":{"StringLike":{"aws:UserAgent":"bad*"}}},
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bkt/*","Condition":{"StringLike":{"aws:Referer":"https://bad.test/*"}}}]}`
	s.must("PUT /bkt?policy", nil, policy)
	s.as(allow("s3:PutObject"))
	field := func(name, value string) string {
		return "--XX\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	form := field("key", "posted") + field("x-ignore-user-agent", "good") + "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ncontent\r\n--XX--\r\n"
	for _, tt := range []struct {
		name, agent, referer string
		status               int
	}{
		{"neither", "good/1", "https://good.test/form", 204},
		{"a browser that is not to", "bad/1", "https://good.test/form", 403},
		{"a page that is not to", "good/1", "https://bad.test/form", 403},
	} {
		head := H{"Content-Type": "multipart/form-data; boundary=XX", "User-Agent": tt.agent, "Referer": tt.referer}
		if a := s.do("POST /bkt", head, form); a.status != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
		}
	}
}
