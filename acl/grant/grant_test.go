package grant

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"shoal/acl"
)

var (
	owner = acl.CanonicalID("root")
	alice = acl.CanonicalID("user:alice")
	bob   = acl.CanonicalID("user:bob")
)

// people are the principals of the tests by their names.
var people = map[string]acl.Principal{
	"stranger": {},
	"root":     {Kind: acl.Root, ID: "root"},
	"alice":    {Kind: acl.User, ID: "user:alice", Name: "alice"},
	"bob":      {Kind: acl.User, ID: "user:bob", Name: "bob"},
}

func to(id string, p Permission) Grant     { return Grant{Grantee{ID: id}, p} }
func toGroup(g Group, p Permission) Grant  { return Grant{Grantee{Group: g}, p} }
func names(t Target) map[string]Permission { return ACL(nil).On(t, "").(held).actions }
func whoMay(a ACL, t Target, action string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(people)) {
		v := a.On(t, "of it").Evaluate(&acl.Request{Principal: people[name], Action: action})
		if v.Effect == acl.Allow {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

// TestActions: S3 User Guide, "Access control list (ACL) overview", "Mapping of ACL permissions and access
// policy permissions"
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping).
func TestActions(t *testing.T) {
	table := []struct {
		target     Target
		permission Permission
		actions    string
	}{
		{Bucket, Read, "s3:ListBucket s3:ListBucketMultipartUploads s3:ListBucketVersions"},
		{Bucket, Write, "s3:PutObject"},
		{Bucket, ReadACP, "s3:GetBucketAcl"},
		{Bucket, WriteACP, "s3:PutBucketAcl"},
		{Bucket, FullControl, "s3:GetBucketAcl s3:ListBucket s3:ListBucketMultipartUploads s3:ListBucketVersions s3:PutBucketAcl s3:PutObject"},
		{Object, Read, "s3:GetObject s3:GetObjectVersion"},
		{Object, Write, ""},
		{Object, ReadACP, "s3:GetObjectAcl s3:GetObjectVersionAcl"},
		{Object, WriteACP, "s3:PutObjectAcl s3:PutObjectVersionAcl"},
		{Object, FullControl, "s3:GetObject s3:GetObjectAcl s3:GetObjectVersion s3:GetObjectVersionAcl s3:PutObjectAcl s3:PutObjectVersionAcl"},
	}
	all := []string{"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket", "s3:GetObjectTagging", "s3:PutBucketPolicy", "s3:ListAllMyBuckets", "s3:AbortMultipartUpload", "s3:*", ""}
	for _, target := range []Target{Bucket, Object} {
		all = slices.AppendSeq(all, maps.Keys(names(target)))
	}
	for _, row := range table {
		var got []string
		for _, action := range all {
			if whoMay(ACL{to(alice, row.permission)}, row.target, action) == "alice" {
				got = append(got, action)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != row.actions {
			t.Errorf("%v on %v allows %q, want %q", row.permission, row.target, got, row.actions)
		}
	}
	for _, action := range all {
		target, ok := TargetOf(action)
		_, ofObject := objectActions[action]
		_, ofBucket := bucketActions[action]
		if ok != (ofObject || ofBucket) || ok && (target == Object) != ofObject || ofObject && ofBucket {
			t.Errorf("target of %q: %v, %v", action, target, ok)
		}
	}
}

// TestGrantees: S3 User Guide, "Access control list (ACL) overview", "Who is a grantee?".
func TestGrantees(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		acl        ACL
	}{
		{"nobody", "", nil},
		{"the owner", "root", Private(owner)},
		{"a user", "alice", ACL{to(alice, Read)}},
		{"two users", "alice bob", ACL{to(alice, Read), to(bob, FullControl)}},
		{"everybody", "alice bob root stranger", ACL{toGroup(AllUsers, Read)}},
		{"who signs", "alice bob root", ACL{toGroup(AuthenticatedUsers, Read)}},
		{"who writes logs", "", ACL{toGroup(LogDelivery, FullControl)}},
		{"another permission", "", ACL{to(alice, ReadACP), toGroup(AllUsers, WriteACP)}},
		{"an ID of nobody", "", ACL{to(EC2, Read)}},
		{"no ID", "", ACL{to("", Read)}},
	} {
		if got := whoMay(tt.acl, Object, "s3:GetObject"); got != tt.want {
			t.Errorf("%s: %q may, want %q", tt.name, got, tt.want)
		}
	}
}

// TestReason: a decision says which grant it rests on, and one that is not public where there is one.
func TestReason(t *testing.T) {
	public, own := toGroup(AllUsers, Read), to(alice, FullControl)
	alicesWords := "FULL_CONTROL to canonical user " + alice
	for _, tt := range []struct {
		acl    ACL
		who    string
		words  string
		public bool
	}{
		{ACL{public}, "stranger", "READ to AllUsers", true},
		{ACL{toGroup(AuthenticatedUsers, Read)}, "bob", "READ to AuthenticatedUsers", true},
		{ACL{public, own}, "alice", alicesWords, false},
		{ACL{own, public}, "alice", alicesWords, false},
		{ACL{own, public}, "bob", "READ to AllUsers", true},
	} {
		got := tt.acl.On(Object, "of k").Evaluate(&acl.Request{Principal: people[tt.who], Action: "s3:GetObject"})
		want := acl.Verdict{Effect: acl.Allow, Policy: "of k", Statement: tt.words, Public: tt.public}
		if got != want {
			t.Errorf("%v for %s: %+v, want %+v", tt.acl, tt.who, got, want)
		}
	}
}

// TestCanned: S3 User Guide, "Access control list (ACL) overview", "Canned ACL".
func TestCanned(t *testing.T) {
	own := to(owner, FullControl)
	both := func(a ...Grant) [2]ACL { return [2]ACL{a, a} }
	for name, want := range map[string][2]ACL{
		"private":                   both(own),
		"public-read":               both(own, toGroup(AllUsers, Read)),
		"public-read-write":         both(own, toGroup(AllUsers, Read), toGroup(AllUsers, Write)),
		"authenticated-read":        both(own, toGroup(AuthenticatedUsers, Read)),
		"aws-exec-read":             both(own, to(EC2, Read)),
		"bucket-owner-read":         both(own),
		"bucket-owner-full-control": both(own),
		"log-delivery-write":        {{own, toGroup(LogDelivery, Write), toGroup(LogDelivery, ReadACP)}, nil},
		"":                          {},
		"Private":                   {},
		"public":                    {},
	} {
		for target, want := range want {
			got, ok := Canned(name, Target(target), owner)
			if ok != (want != nil) || ok && !slices.Equal(got, want) {
				t.Errorf("%q on %v: %v, %v, want %v", name, target, got, ok, want)
			}
			if ok && got.Public() != (strings.HasPrefix(name, "public") || name == "authenticated-read") {
				t.Errorf("%q: public is %v", name, got.Public())
			}
			if ok && got.OwnerOnly(owner) != slices.Equal(got, ACL{own}) {
				t.Errorf("%q: of the owner only is %v", name, got.OwnerOnly(owner))
			}
		}
	}
}

func TestNames(t *testing.T) {
	for p := Read; p <= FullControl; p++ {
		if got, ok := ParsePermission(p.String()); !ok || got != p {
			t.Errorf("%v: %v, %v", p, got, ok)
		}
	}
	for g := AllUsers; g <= LogDelivery; g++ {
		if got, ok := ParseGroup(g.URI()); !ok || got != g {
			t.Errorf("%v: %v, %v", g, got, ok)
		}
	}
	for _, name := range []string{"", "read", "DELETE", "http://acs.amazonaws.com/groups/global/Nobody"} {
		if _, ok := ParsePermission(name); ok {
			t.Errorf("%q is a permission", name)
		}
		if _, ok := ParseGroup(name); ok {
			t.Errorf("%q is a group", name)
		}
	}
	for _, id := range []string{"", "1", strings.ToUpper(alice), alice[1:], alice + "00", strings.Repeat("g", 64)} {
		if ValidID(id) {
			t.Errorf("%q is a canonical ID", id)
		}
	}
	if !ValidID(alice) || !ValidID(EC2) || alice == bob {
		t.Errorf("%q, %q", alice, bob)
	}
}

// someACL draws an ACL.
func someACL(rnd *rand.Rand, most int) ACL {
	a := ACL{}
	for range rnd.IntN(most + 1) {
		g := Grant{Grantee{Group: Group(rnd.IntN(4))}, Permission(1 + rnd.IntN(5))}
		if g.Group == NoGroup {
			g.ID = []string{owner, alice, bob, EC2}[rnd.IntN(4)]
		}
		a = append(a, g)
	}
	return a
}

// TestProperties: who is granted more may do more; the order of grants says nothing; a stranger gets only what is
// public; what is stored comes back.
func TestProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, more := someACL(rnd, 5), someACL(rnd, 3)
		both := slices.Concat(a, more)
		shuffled := slices.Clone(both)
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, target := range []Target{Bucket, Object} {
			for action := range names(target) {
				few, all := strings.Fields(whoMay(a, target, action)), strings.Fields(whoMay(both, target, action))
				for _, who := range few {
					if !slices.Contains(all, who) {
						t.Fatalf("%v lets %s do %s, and not with %v", a, who, action, more)
					}
				}
				if got := whoMay(shuffled, target, action); got != strings.Join(all, " ") {
					t.Fatalf("%v lets %v do %s, in another order %q", both, all, action, got)
				}
				if slices.Contains(all, "stranger") && !both.Public() {
					t.Fatalf("%v is not public and lets strangers do %s", both, action)
				}
				if both.OwnerOnly(owner) && len(all) > 0 && !slices.Equal(all, []string{"root"}) {
					t.Fatalf("%v is of the owner only and lets %v do %s", both, all, action)
				}
			}
		}
		back, err := Parse(both.Append(nil))
		if err != nil || !slices.Equal(back, both) {
			t.Fatalf("%v came back as %v, %v", both, back, err)
		}
	}
}

// TestFormat holds the stored form: what a release has written, all later ones read.
func TestFormat(t *testing.T) {
	a := ACL{to(owner, FullControl), toGroup(AllUsers, Read), toGroup(LogDelivery, Write), toGroup(AuthenticatedUsers, ReadACP), to(alice, WriteACP)}
	raw := func(id string) string { b, _ := parseID(id); return string(b) }
	want := "\x01" + "\x05\x00" + raw(owner) + "\x01\x01" + "\x02\x03" + "\x03\x02" + "\x04\x00" + raw(alice)
	if got := a.Append(nil); string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	most := make(ACL, Max)
	for i := range most {
		most[i] = to(alice, Read)
	}
	full := most.Append(nil)
	if back, err := Parse(full); err != nil || len(back) != Max || len(full) != MaxBytes {
		t.Errorf("%d grants, %v, %d bytes", len(back), err, len(full))
	}
	for _, bad := range []string{"", "\x00", "\x02", want[:3], want[:len(want)-1], "\x01\x00\x01", "\x01\x06\x01", "\x01\x01\x04", "\x01\x01", string(full) + "\x01\x01"} {
		if _, err := Parse([]byte(bad)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ACL{to(owner, FullControl), toGroup(AllUsers, Read)}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			return
		}
		if len(a) > Max || !bytes.Equal(a.Append(nil), b) {
			t.Fatalf("%x is read as %v", b, a)
		}
	})
}
