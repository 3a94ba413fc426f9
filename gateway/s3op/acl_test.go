package s3op_test

import (
	"context"
	"strings"
	"testing"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/gateway/iam"
	"shoal/gateway/s3xml"
	"shoal/node/api"
	"shoal/node/apitest"
)

const (
	everybodyURI = "http://acs.amazonaws.com/groups/global/AllUsers"
	usersURI     = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	openDoc      = "<PublicAccessBlockConfiguration/>"
)

var aliceID, bobID = acl.CanonicalID("user:alice"), acl.CanonicalID("user:bob")

// aclBucket makes bucket bkt, in which ACLs count and may be public, with an object k.
func aclBucket(s *server) {
	s.must("PUT /bkt", H{"X-Amz-Object-Ownership": "ObjectWriter"}, "")
	s.must("PUT /bkt?publicAccessBlock", nil, openDoc)
	s.must("PUT /bkt/k", nil, "0123456789")
}

// asUser makes whoever asks a user without policies, or a stranger.
func (s *server) asUser(name string) {
	s.caller = iam.Caller{}
	if name != "" {
		s.caller.Principal = acl.Principal{Kind: acl.User, ID: "user:" + name, Name: name, Account: api.Account}
	}
}

// granting is the document of an ACL of the owner.
func granting(grants ...grant.Grant) string {
	return string(s3xml.AppendACL(nil, "root", grants))
}

func group(g grant.Group, p grant.Permission) grant.Grant {
	return grant.Grant{Grantee: grant.Grantee{Group: g}, Permission: p}
}

func user(id string, p grant.Permission) grant.Grant {
	return grant.Grant{Grantee: grant.Grantee{ID: id}, Permission: p}
}

// TestACLDecides: S3 User Guide, "Access control list (ACL) overview", "Which operations ACL permissions allow", for a
// user that is granted something by its ID, for users, and for strangers. Nobody has policies.
func TestACLDecides(t *testing.T) {
	list, put, get, readACL := "GET /bkt?list-type=2", "PUT /bkt/new", "GET /bkt/k", "GET /bkt/k?acl"
	for _, tt := range []struct {
		name           string
		bucket, object string // headers "name: value", or nothing
		who            string
		line           string
		want           int
	}{
		{"nothing, a stranger", "", "", "", get, 403},
		{"nothing, a user", "", "", "alice", get, 403},
		{"public-read object, a stranger", "", "x-amz-acl: public-read", "", get, 200},
		{"public-read object, HEAD", "", "x-amz-acl: public-read", "", "HEAD /bkt/k", 200},
		{"public-read object, its version", "", "x-amz-acl: public-read", "", "GET /bkt/k?versionId=null", 200},
		{"public-read object, a user", "", "x-amz-acl: public-read", "alice", get, 200},
		{"public-read object, another key", "", "x-amz-acl: public-read", "", "GET /bkt/private", 403},
		{"public-read object, no key", "", "x-amz-acl: public-read", "", "GET /bkt/none", 403},
		{"public-read object, its ACL", "", "x-amz-acl: public-read", "", readACL, 403},
		{"public-read object, its tags", "", "x-amz-acl: public-read", "", "GET /bkt/k?tagging", 403},
		{"public-read object, its attributes", "", "x-amz-acl: public-read", "", "GET /bkt/k?attributes", 403},
		{"public-read object, delete", "", "x-amz-acl: public-read", "", "DELETE /bkt/k", 403},
		{"public-read object, listing", "", "x-amz-acl: public-read", "", list, 403},
		{"public-read-write object, overwrite", "", "x-amz-acl: public-read-write", "", "PUT /bkt/k", 403},
		{"authenticated-read object, a stranger", "", "x-amz-acl: authenticated-read", "", get, 403},
		{"authenticated-read object, a user", "", "x-amz-acl: authenticated-read", "alice", get, 200},
		{"aws-exec-read object, a user", "", "x-amz-acl: aws-exec-read", "alice", get, 403},
		{"object of alice's, alice", "", "x-amz-grant-read: id=" + aliceID, "alice", get, 200},
		{"object of alice's, bob", "", "x-amz-grant-read: id=" + aliceID, "bob", get, 403},
		{"object of alice's, a stranger", "", "x-amz-grant-read: id=" + aliceID, "", get, 403},
		{"its ACL to alice, alice reads the ACL", "", "x-amz-grant-read-acp: id=" + aliceID, "alice", readACL, 200},
		{"its ACL to alice, alice reads", "", "x-amz-grant-read-acp: id=" + aliceID, "alice", get, 403},
		{"all of it to alice, alice reads the ACL", "", "x-amz-grant-full-control: id=" + aliceID, "alice", readACL, 200},
		{"all of it to alice, alice reads", "", "x-amz-grant-full-control: id=" + aliceID, "alice", get, 200},
		{"all of it to alice, alice overwrites", "", "x-amz-grant-full-control: id=" + aliceID, "alice", "PUT /bkt/k", 403},
		{"public-read bucket, a stranger lists", "x-amz-acl: public-read", "", "", list, 200},
		{"public-read bucket, HEAD", "x-amz-acl: public-read", "", "", "HEAD /bkt", 200},
		{"public-read bucket, versions", "x-amz-acl: public-read", "", "", "GET /bkt?versions", 200},
		{"public-read bucket, uploads", "x-amz-acl: public-read", "", "", "GET /bkt?uploads", 200},
		{"public-read bucket, an object", "x-amz-acl: public-read", "", "", get, 403},
		{"public-read bucket, no key", "x-amz-acl: public-read", "", "", "GET /bkt/none", 404},
		{"public-read bucket, put", "x-amz-acl: public-read", "", "", put, 403},
		{"public-read bucket, its ACL", "x-amz-acl: public-read", "", "", "GET /bkt?acl", 403},
		{"public-read bucket, its policy", "x-amz-acl: public-read", "", "", "GET /bkt?policy", 403},
		{"public-read-write bucket, put", "x-amz-acl: public-read-write", "", "", put, 200},
		{"public-read-write bucket, an upload of a stranger", "x-amz-acl: public-read-write", "", "", "POST /bkt/new?uploads", 403},
		{"public-read-write bucket, an upload of a user", "x-amz-acl: public-read-write", "", "alice", "POST /bkt/new?uploads", 200},
		{"public-read-write bucket, delete", "x-amz-acl: public-read-write", "", "", "DELETE /bkt/k", 403},
		{"public-read-write bucket, delete the bucket", "x-amz-acl: public-read-write", "", "", "DELETE /bkt", 403},
		{"authenticated-read bucket, a stranger", "x-amz-acl: authenticated-read", "", "", list, 403},
		{"authenticated-read bucket, a user", "x-amz-acl: authenticated-read", "", "bob", list, 200},
		{"log-delivery-write bucket, a user", "x-amz-acl: log-delivery-write", "", "bob", put, 403},
		{"bucket to alice, alice", "x-amz-grant-read: id=" + aliceID, "", "alice", list, 200},
		{"bucket to alice, bob", "x-amz-grant-read: id=" + aliceID, "", "bob", list, 403},
		{"writing to alice, alice", "x-amz-grant-write: id=" + aliceID, "", "alice", put, 200},
		{"writing to alice, alice lists", "x-amz-grant-write: id=" + aliceID, "", "alice", list, 403},
		{"the bucket's ACL to alice, alice", "x-amz-grant-read-acp: id=" + aliceID, "", "alice", "GET /bkt?acl", 200},
		{"all to alice, alice", "x-amz-grant-full-control: id=" + aliceID, "", "alice", "GET /bkt?acl", 200},
		{"all to alice, an object", "x-amz-grant-full-control: id=" + aliceID, "", "alice", get, 403},
		{"all to alice, settings", "x-amz-grant-full-control: id=" + aliceID, "", "alice", "GET /bkt?versioning", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			aclBucket(s)
			s.must("PUT /bkt/private", nil, "x")
			set := func(line, header string) {
				if name, value, ok := strings.Cut(header, ": "); ok {
					s.must(line, H{name: value}, "")
				}
			}
			set("PUT /bkt?acl", tt.bucket)
			set("PUT /bkt/k?acl", tt.object)
			s.asUser(tt.who)
			a := s.do(tt.line, nil, "")
			if a.status != tt.want {
				t.Errorf("%d %s, want %d", a.status, a.body, tt.want)
			}
			if strings.HasPrefix(tt.line, "GET /bkt/k") && strings.Contains(a.body, "0123456789") != (tt.want == 200 && !strings.Contains(tt.line, "acl")) {
				t.Errorf("answered %q", a.body)
			}
		})
	}
}

// TestACLWritten: who has WRITE_ACP may give everybody what is there, by the document and by headers.
func TestACLWritten(t *testing.T) {
	s := newServer(t)
	aclBucket(s)
	s.must("PUT /bkt/k?acl", H{"X-Amz-Grant-Write-Acp": "id=" + aliceID}, "")
	s.must("PUT /bkt?acl", nil, granting(user(aliceID, grant.WriteACP)))
	for _, who := range []string{"bob", ""} {
		s.asUser(who)
		for _, line := range []string{"PUT /bkt/k?acl", "PUT /bkt?acl"} {
			if a := s.do(line, H{"X-Amz-Acl": "public-read"}, ""); a.status != 403 {
				t.Errorf("%s by %q: %d", line, who, a.status)
			}
		}
	}
	s.asUser("alice")
	s.must("PUT /bkt/k?acl", H{"X-Amz-Acl": "public-read"}, "")
	s.must("PUT /bkt?acl", nil, granting(group(grant.AllUsers, grant.Read)))
	if a := s.do("PUT /bkt?acl", H{"X-Amz-Acl": "private"}, ""); a.status != 403 {
		t.Errorf("after giving it away: %d", a.status)
	}
	s.asUser("")
	s.must("GET /bkt/k", nil, "")
	s.must("GET /bkt", nil, "")
	s.root()
	if a := s.must("GET /bkt?acl", nil, ""); a.body != granting(group(grant.AllUsers, grant.Read)) {
		t.Error(a.body)
	}
}

// TestACLOfWrites: what a write gives an object (API_PutObject, API_CopyObject, API_CreateMultipartUpload), and the
// rights that it takes.
func TestACLOfWrites(t *testing.T) {
	s := newServer(t)
	aclBucket(s)
	public := granting(user(rootID, grant.FullControl), group(grant.AllUsers, grant.Read))
	private := granting(user(rootID, grant.FullControl))
	shows := func(key, want string) {
		t.Helper()
		if a := s.must("GET /bkt/"+key+"?acl", nil, ""); a.body != want {
			t.Errorf("%s: %s, want %s", key, a.body, want)
		}
	}
	open := H{"X-Amz-Acl": "public-read"}
	s.must("PUT /bkt/put", open, "x")
	shows("put", public)
	s.must("PUT /bkt/copy", H{"X-Amz-Copy-Source": "bkt/put"}, "")
	shows("copy", private)
	s.must("PUT /bkt/open-copy", H{"X-Amz-Copy-Source": "bkt/k", "X-Amz-Acl": "public-read"}, "")
	shows("open-copy", public)
	s.must("PUT /bkt/put", nil, "y")
	shows("put", private)
	id := s.must("POST /bkt/mp?uploads", open, "").element("UploadId")
	etag := s.must("PUT /bkt/mp?partNumber=1&uploadId="+id, nil, "part").header.Get("Etag")
	s.must("POST /bkt/mp?uploadId="+id, nil, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+etag+"</ETag></Part></CompleteMultipartUpload>")
	shows("mp", public)
	s.must("PUT /bkt/g", H{"X-Amz-Grant-Read": `uri="` + everybodyURI + `", id="` + aliceID + `"`, "X-Amz-Grant-Full-Control": "id=" + rootID}, "x")
	shows("g", granting(group(grant.AllUsers, grant.Read), user(aliceID, grant.Read), user(rootID, grant.FullControl)))
	s.must("PUT /bkt/versions", open, "x")
	s.must("PUT /bkt?versioning", nil, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	s.must("PUT /bkt/versions", nil, "y")
	shows("versions", private)
	if a := s.must("GET /bkt/versions?acl&versionId=null", nil, ""); a.body != public {
		t.Error(a.body)
	}
	for _, h := range []H{open, {"X-Amz-Grant-Read": "id=" + aliceID}, {"X-Amz-Grant-Full-Control": "id=" + aliceID}} {
		s.as(allow("s3:PutObject"))
		if a := s.do("PUT /bkt/new", h, ""); a.status != 403 {
			t.Errorf("%v without the right: %d", h, a.status)
		}
		s.as(allow("s3:PutObject s3:PutObjectAcl"))
		s.must("PUT /bkt/new", h, "")
	}
}

// TestACLConditions: a policy can demand an ACL (S3 User Guide, "Bucket policy examples using condition keys").
func TestACLConditions(t *testing.T) {
	s := newServer(t)
	aclBucket(s)
	demands := func(operator, key, value string) string {
		return `{"Statement":{"Effect":"Allow","Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":"*","Condition":{"` + operator + `":{"s3:` + key + `":"` + value + `"}}}}`
	}
	for _, tt := range []struct {
		name, rights string
		head         H
		want         int
	}{
		{"the ACL", demands("StringEquals", "x-amz-acl", "private"), H{"X-Amz-Acl": "private"}, 200},
		{"another ACL", demands("StringEquals", "x-amz-acl", "private"), H{"X-Amz-Acl": "public-read"}, 403},
		{"no ACL", demands("StringEquals", "x-amz-acl", "private"), nil, 403},
		{"the grant", demands("StringEquals", "x-amz-grant-full-control", "id="+bobID), H{"X-Amz-Grant-Full-Control": "id=" + bobID}, 200},
		{"another grant", demands("StringEquals", "x-amz-grant-full-control", "id="+bobID), H{"X-Amz-Grant-Full-Control": "id=" + aliceID}, 403},
		{"no grant to read", demands("Null", "x-amz-grant-read", "true"), H{"X-Amz-Grant-Read": "id=" + aliceID}, 403},
	} {
		s.as(tt.rights)
		if a := s.do("PUT /bkt/new", tt.head, ""); a.status != tt.want {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
		}
	}
}

// TestACLOrder: an explicit deny wins over a grant; a session that does not allow narrows it; a block of public ACLs
// takes what is granted to everybody and leaves what is granted to one; ownership turns all of it off.
func TestACLOrder(t *testing.T) {
	s := newServer(t)
	aclBucket(s)
	s.must("PUT /bkt/k?acl", nil, granting(group(grant.AllUsers, grant.Read), user(bobID, grant.Read)))
	s.must("PUT /bkt?acl", nil, granting(group(grant.AuthenticatedUsers, grant.Read)))
	reads := func(why, who string, want int) {
		t.Helper()
		s.asUser(who)
		if a := s.do("GET /bkt/k", nil, ""); a.status != want {
			t.Errorf("%s, %q: %d %s, want %d", why, who, a.status, a.body, want)
		}
		s.root()
	}
	reads("granted", "", 200)
	s.must("PUT /bkt?policy", nil, `{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*"}}`)
	reads("denied by the bucket", "", 403)
	reads("denied by the bucket", "bob", 403)
	s.must("DELETE /bkt?policy", nil, "")
	s.as(`{"Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}`)
	if a := s.do("GET /bkt/k", nil, ""); a.status != 403 {
		t.Errorf("denied by its own policy: %d", a.status)
	}
	s.as(allow("s3:ListBucket"))
	s.caller.Sessions, s.caller.Identity = s.caller.Identity, nil
	if a := s.do("GET /bkt/k", nil, ""); a.status != 403 {
		t.Errorf("narrowed by a session: %d", a.status)
	}
	s.root()
	s.must("PUT /bkt?publicAccessBlock", nil, "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>")
	reads("ignored", "", 403)
	reads("ignored", "alice", 403)
	reads("granted to one", "bob", 200)
	s.asUser("alice")
	if a := s.do("GET /bkt", nil, ""); a.status != 403 {
		t.Errorf("the bucket's is not ignored: %d", a.status)
	}
	s.root()
	s.must("PUT /bkt?publicAccessBlock", nil, "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>")
	reads("a block of policies", "", 200)
	s.must("PUT /bkt?publicAccessBlock", nil, openDoc)
	s.must("PUT /bkt?acl", H{"X-Amz-Acl": "private"}, "")
	s.must("PUT /bkt?ownershipControls", nil, "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>")
	reads("enforced", "", 403)
	reads("enforced", "bob", 403)
	if a := s.must("GET /bkt/k?acl", nil, ""); a.body != granting(user(rootID, grant.FullControl)) {
		t.Error(a.body)
	}
	s.must("DELETE /bkt?ownershipControls", nil, "")
	reads("counting again", "", 200)
}

// TestCopyByACL: what is read of a source is asked of it.
func TestCopyByACL(t *testing.T) {
	s := newServer(t)
	aclBucket(s)
	s.must("PUT /bkt?acl", H{"X-Amz-Grant-Write": "id=" + aliceID}, "")
	s.asUser("alice")
	from := H{"X-Amz-Copy-Source": "bkt/k"}
	if a := s.do("PUT /bkt/copy", from, ""); a.status != 403 {
		t.Errorf("a private source: %d", a.status)
	}
	s.root()
	s.must("PUT /bkt/k?acl", H{"X-Amz-Acl": "authenticated-read"}, "")
	s.asUser("alice")
	s.must("PUT /bkt/copy", from, "")
}

// TestPostByStranger: a form without a policy is taken where strangers may write, and nowhere else.
func TestPostByStranger(t *testing.T) {
	form := "--XX\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nposted\r\n" +
		"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ncontent\r\n--XX--\r\n"
	head := H{"Content-Type": "multipart/form-data; boundary=XX"}
	s := newServer(t)
	aclBucket(s)
	s.asUser("")
	if a := s.do("POST /bkt", head, form); a.status != 403 {
		t.Errorf("in a private bucket: %d", a.status)
	}
	s.root()
	s.must("PUT /bkt?acl", H{"X-Amz-Acl": "public-read-write"}, "")
	s.asUser("")
	s.must("POST /bkt", head, form)
	with := strings.Replace(form, "--XX\r\n", "--XX\r\nContent-Disposition: form-data; name=\"acl\"\r\n\r\npublic-read\r\n--XX\r\n", 1)
	if a := s.do("POST /bkt", head, with); a.status != 403 {
		t.Errorf("with an ACL of its own: %d", a.status)
	}
	s.root()
	if a := s.must("GET /bkt/posted", nil, ""); a.body != "content" {
		t.Error(a.body)
	}
}

// TestBrokenACL: what cannot be read allows nothing.
func TestBrokenACL(t *testing.T) {
	s := newServer(t)
	aclBucket(s)
	for _, broken := range []string{"x", "\x01\x01", "\x02"} {
		if _, err := s.store.SetACL(t.Context(), &api.ObjectRef{Bucket: "bkt", Key: "k"}, []byte(broken)); err != nil {
			t.Fatal(err)
		}
		if err := s.store.SetConfiguration(t.Context(), &api.SetConfiguration{Bucket: "bkt", Name: api.ConfigACL, Document: []byte(broken)}); err != nil {
			t.Fatal(err)
		}
		s.service.Rules.Forget("bkt")
		s.asUser("alice")
		for _, line := range []string{"GET /bkt/k", "GET /bkt", "GET /bkt?acl", "PUT /bkt/new"} {
			if a := s.do(line, nil, ""); a.status != 403 {
				t.Errorf("%s under %q: %d", line, broken, a.status)
			}
		}
		s.root()
		if a := s.do("GET /bkt/k?acl", nil, ""); a.status != 500 {
			t.Errorf("shown as %d %s", a.status, a.body)
		}
		s.must("PUT /bkt?acl", H{"X-Amz-Acl": "private"}, "")
	}
}

// replacing puts a private object in the place of one that was asked for, right after it was looked at.
type replacing struct {
	*apitest.Memory
	t *testing.T
}

func (r *replacing) Head(ctx context.Context, ref *api.ObjectRef) (*api.ObjectInfo, error) {
	info, err := r.Memory.Head(ctx, ref)
	secret := "secret"
	put := &api.PutObject{Bucket: ref.Bucket, Key: ref.Key, Size: int64(len(secret)), Body: strings.NewReader(secret)}
	if _, perr := r.Put(ctx, put); perr != nil {
		r.t.Error(perr)
	}
	return info, err
}

// TestACLOfWhatIsRead: the version whose bytes are given is the one whose ACL allows that, whatever was current when
// the right was asked for.
func TestACLOfWhatIsRead(t *testing.T) {
	for _, line := range []string{"GET /bkt/k", "PUT /bkt/copy", "GET /bkt/k?acl", "PUT /bkt/k?acl"} {
		s := newServer(t)
		aclBucket(s)
		s.must("PUT /bkt?acl", H{"X-Amz-Grant-Write": "id=" + aliceID}, "")
		s.must("PUT /bkt/k?acl", H{"X-Amz-Grant-Full-Control": "id=" + aliceID}, "")
		s.asUser("alice")
		head := H{}
		switch line {
		case "PUT /bkt/copy":
			head["X-Amz-Copy-Source"] = "bkt/k"
		case "PUT /bkt/k?acl":
			head["X-Amz-Grant-Full-Control"] = "id=" + aliceID
		}
		s.must(line, head, "")
		s.service.Objects = &replacing{s.store, t}
		if a := s.do(line, head, ""); a.status != 403 || strings.Contains(a.body, "secret") {
			t.Errorf("%s: %d %s", line, a.status, a.body)
		}
	}
}
