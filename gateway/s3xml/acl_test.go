package s3xml

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"shoal/acl"
	"shoal/acl/grant"
)

// TestParseACL: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html
func TestParseACL(t *testing.T) {
	owner, alice := acl.CanonicalID("root"), acl.CanonicalID("user:alice")
	a := append(grant.Private(owner), grant.Grant{Grantee: grant.Grantee{Group: grant.AllUsers}, Permission: grant.Read},
		grant.Grant{Grantee: grant.Grantee{ID: alice}, Permission: grant.WriteACP})
	written := string(AppendACL(nil, "root", a))
	named := strings.ReplaceAll(written, "</ID>", "</ID><DisplayName>somebody</DisplayName>")
	want := []RequestedGrant{
		{Grantee{ID: owner}, grant.FullControl}, {Grantee{URI: grant.AllUsers.URI()}, grant.Read}, {Grantee{ID: alice}, grant.WriteACP},
	}
	for _, doc := range []string{written, named} {
		got, err := ParseACL([]byte(doc))
		if err != nil || got.Owner != owner || !slices.Equal(got.Grants, want) {
			t.Errorf("%s: %+v, %v", doc, got, err)
		}
	}
	email := strings.Replace(written, "<ID>"+alice+"</ID>", "<EmailAddress>a@example.com</EmailAddress>", 1)
	if got, err := ParseACL([]byte(email)); err != nil || got.Grants[2].Email != "a@example.com" {
		t.Errorf("%+v, %v", got, err)
	}
	none := "<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList/></AccessControlPolicy>"
	if got, err := ParseACL([]byte(none)); err != nil || got.Owner != "x" || len(got.Grants) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	most := strings.Replace(none, "<AccessControlList/>", "<AccessControlList>"+strings.Repeat("<Grant><Grantee><ID>x</ID><DisplayName/></Grantee><Permission>READ</Permission></Grant>", grant.Max+1)+"</AccessControlList>", 1)
	if got, err := ParseACL([]byte(most)); err != nil || len(got.Grants) != grant.Max+1 {
		t.Errorf("%d grants, %v", len(got.Grants), err)
	}
}

func TestParseMalformedACL(t *testing.T) {
	good := string(AppendACL(nil, "root", grant.Private(acl.CanonicalID("root"))))
	owner := good[strings.Index(good, "<Owner>") : strings.Index(good, "</Owner>")+len("</Owner>")]
	for name, doc := range map[string]string{
		"nothing":               "",
		"another document":      "<Delete/>",
		"text behind":           good + "x",
		"no owner":              strings.Replace(good, owner, "", 1),
		"two owners":            strings.Replace(good, owner, owner+owner, 1),
		"owner without ID":      strings.Replace(good, owner, "<Owner><DisplayName>root</DisplayName></Owner>", 1),
		"owner by URI":          strings.Replace(good, owner, "<Owner><URI>x</URI></Owner>", 1),
		"no list":               "<AccessControlPolicy>" + owner + "</AccessControlPolicy>",
		"grant outside":         "<AccessControlPolicy>" + owner + "<Grant/></AccessControlPolicy>",
		"empty grant":           "<AccessControlPolicy>" + owner + "<AccessControlList><Grant/></AccessControlList></AccessControlPolicy>",
		"another permission":    strings.Replace(good, "FULL_CONTROL", "DELETE", 1),
		"small permission":      strings.Replace(good, "FULL_CONTROL", "read", 1),
		"no permission":         strings.Replace(good, "<Permission>FULL_CONTROL</Permission>", "", 1),
		"two permissions":       strings.Replace(good, "</Permission>", "</Permission><Permission>READ</Permission>", 1),
		"two names":             strings.Replace(good, "</ID></Grantee>", "</ID><URI>x</URI></Grantee>", 1),
		"a name of another way": strings.ReplaceAll(good, "ID>", "Name>"),
		"an empty name":         strings.Replace(good, acl.CanonicalID("root")+"</ID></Grantee>", "</ID></Grantee>", 1),
		"element in a name":     strings.Replace(good, "</ID></Grantee>", "<b/></ID></Grantee>", 1),
	} {
		if _, err := ParseACL([]byte(doc)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseACL(f *testing.F) {
	a, _ := grant.Canned("log-delivery-write", grant.Bucket, acl.CanonicalID("root"))
	f.Add(AppendACL(nil, "root", a))
	f.Add([]byte("<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList><Grant><Grantee><EmailAddress>x</EmailAddress></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := ParseACL(doc)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		var back grant.ACL
		for _, g := range got.Grants {
			group, known := grant.ParseGroup(g.URI)
			if g.ID == "" && !known {
				return // a grantee that no ACL has
			}
			back = append(back, grant.Grant{Grantee: grant.Grantee{Group: group, ID: g.ID}, Permission: g.Permission})
		}
		again, err := ParseACL(AppendACL(nil, "root", back))
		if err != nil || !slices.Equal(again.Grants, got.Grants) {
			t.Fatalf("%+v came back as %+v, %v", got, again, err)
		}
	})
}
