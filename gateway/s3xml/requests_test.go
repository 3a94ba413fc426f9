package s3xml

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shoal/node/api"
)

// documents that are wrong whatever they are asked to be.
var wrong = map[string]string{
	"empty":                    "",
	"blank":                    " \n",
	"no XML":                   "hello",
	"other root":               "<Other></Other>",
	"root not closed":          "<ROOT>",
	"closed by another":        "<ROOT></Other>",
	"two roots":                "<ROOT></ROOT><ROOT></ROOT>",
	"text behind":              "<ROOT></ROOT>x",
	"text inside":              "<ROOT>x</ROOT>",
	"document type":            "<!DOCTYPE ROOT><ROOT></ROOT>",
	"entity":                   `<!DOCTYPE ROOT [<!ENTITY a "b">]><ROOT>&a;</ROOT>`,
	"instruction":              "<?php x?><ROOT></ROOT>",
	"declaration inside":       "<ROOT><?xml version='1.0'?></ROOT>",
	"other encoding":           `<?xml version="1.0" encoding="UTF-16"?><ROOT></ROOT>`,
	"declaration not closed":   `<?xml version="1.0"`,
	"not UTF-8":                "<ROOT>\xff</ROOT>",
	"other namespace":          `<ROOT xmlns="http://example.com/"></ROOT>`,
	"attribute":                `<ROOT colour="red"></ROOT>`,
	"attribute without quotes": `<ROOT xmlns=x></ROOT>`,
	"attribute not closed":     `<ROOT xmlns="x></ROOT>`,
	"attributes without space": `<ROOT xmlns:a="x"xmlns:b="y"></ROOT>`,
	"unknown element":          "<ROOT><Colour>red</Colour></ROOT>",
	"comment not closed":       "<ROOT><!-- </ROOT>",
	"comment with dashes":      "<ROOT><!-- a -- b --></ROOT>",
	"name of a digit":          "<1></1>",
	"name too long":            "<" + strings.Repeat("R", 65) + "/>",
	"deep":                     strings.Repeat("<ROOT>", 20) + strings.Repeat("</ROOT>", 20),
	"end first":                "</ROOT>",
	"open angle":               "<",
	"end angle":                "<ROOT></",
	"end without angle":        "<ROOT></ROOT",
}

func TestWrongDocuments(t *testing.T) {
	for root, parse := range map[string]func(string) error{
		"Delete":                    func(s string) error { _, err := ParseDelete([]byte(s)); return err },
		"CompleteMultipartUpload":   func(s string) error { _, err := ParseComplete([]byte(s)); return err },
		"CreateBucketConfiguration": func(s string) error { _, err := ParseCreateBucket([]byte(s)); return err },
		"VersioningConfiguration":   func(s string) error { _, err := ParseVersioning([]byte(s)); return err },
		"Tagging":                   func(s string) error { _, err := ParseTagging([]byte(s)); return err },
		"ObjectLockConfiguration":   func(s string) error { _, err := ParseLockConfiguration([]byte(s)); return err },
		"Retention":                 func(s string) error { _, _, err := ParseRetention([]byte(s)); return err },
		"LegalHold":                 func(s string) error { _, err := ParseLegalHold([]byte(s)); return err },
	} {
		for name, doc := range wrong {
			if err := parse(strings.ReplaceAll(doc, "ROOT", root)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: %v", root, name, err)
			}
		}
	}
}

func deleting(inner string) string { return "<Delete><Object>" + inner + "</Object></Delete>" }

func TestParseDelete(t *testing.T) {
	for doc, want := range map[string]api.DeleteItem{
		deleting("<Key>k</Key>"):                                                          {Key: "k"},
		deleting("\n <Key>k</Key>\t"):                                                     {Key: "k"},
		deleting("<!-- c --><Key>k</Key>"):                                                {Key: "k"},
		deleting("<Key> k </Key>"):                                                        {Key: " k "},
		deleting("<Key>a<!-- c -->b</Key>"):                                               {Key: "ab"},
		deleting("<Key><![CDATA[a<b&amp;]]>c</Key>"):                                      {Key: "a<b&amp;c"},
		deleting("<Key>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;</Key>"):                       {Key: "&<>\"'AB"},
		deleting("<Key>a\r\nb\rc&#13;</Key>"):                                             {Key: "a\nb\nc\r"},
		deleting("<Key>&#x1;&#x7F;</Key>"):                                                {Key: "\x01\x7f"},
		deleting("<Key >k</Key >"):                                                        {Key: "k"},
		deleting("<Key>k</Key><VersionId></VersionId>"):                                   {Key: "k"},
		deleting("<VersionId>v</VersionId><Key>k</Key>"):                                  {Key: "k", VersionID: "v"},
		deleting("<Key>k</Key><VersionId/>"):                                              {Key: "k"},
		deleting(`<Key>k</Key><ETag>"e"</ETag>`):                                          {Key: "k", If: api.Condition{IfMatch: "e"}},
		deleting("<Key>k</Key><ETag>e</ETag>"):                                            {Key: "k", If: api.Condition{IfMatch: "e"}},
		deleting("<Key>k</Key><ETag>*</ETag>"):                                            {Key: "k", If: api.Condition{IfMatch: "*"}},
		"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n" + deleting("<Key>k</Key>"): {Key: "k"},
		`<Delete xmlns='` + namespace + `' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Object><Key>k</Key></Object></Delete> <!-- end -->`: {Key: "k"},
	} {
		d, err := ParseDelete([]byte(doc))
		if err != nil || len(d.Items) != 1 || d.Items[0] != want {
			t.Errorf("%s: %+v, %v", doc, d, err)
		}
	}
	d, err := ParseDelete([]byte(deleting("<Key>k</Key><Size>5</Size><LastModifiedTime>2026-03-04T05:06:07Z</LastModifiedTime>")))
	if err != nil || *d.Items[0].IfSize != 5 || d.Items[0].IfModified.Unix() != 1772600767 {
		t.Errorf("size and time: %+v, %v", d, err)
	}
	for _, bad := range []string{
		"", "<Key></Key>", "<Key/>", "<Key>a</Key><Key>b</Key>", "<Key>a</Key><Colour/>", "<Key><b/></Key>", "<Key>&unknown;</Key>", "<Key>&#0;</Key>", "<Key>&#xD800;</Key>",
		"<Key>&#x110000;</Key>", "<Key>&#;</Key>", "<Key>&</Key>", "<Key>&#99999999999;</Key>", "<Key>\x01</Key>", "<Key>k</Key><Size>-1</Size>", "<Key>k</Key><Size>x</Size>",
		"<Key>k</Key><LastModifiedTime>noon</LastModifiedTime>", "<Key>k</Key><ETag></ETag>", "<Key><![CDATA[a</Key>", "<Key>a", "<key>k</key>",
	} {
		if d, err := ParseDelete([]byte(deleting(bad))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", bad, d, err)
		}
	}
	for doc, quiet := range map[string]bool{"<Quiet>true</Quiet>": true, "<Quiet>false</Quiet>": false, "<Quiet>TRUE</Quiet>": true} {
		d, err := ParseDelete([]byte("<Delete>" + doc + "<Object><Key>k</Key></Object></Delete>"))
		if err != nil || d.Quiet != quiet {
			t.Errorf("%s: %+v, %v", doc, d, err)
		}
	}
	for _, bad := range []string{"<Quiet>1</Quiet>", "<Quiet/>", "<Quiet>true</Quiet><Quiet>true</Quiet>"} {
		if _, err := ParseDelete([]byte("<Delete>" + bad + "<Object><Key>k</Key></Object></Delete>")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	many := strings.Repeat("<Object><Key>k</Key></Object>", MaxDeleteKeys)
	if d, err := ParseDelete([]byte("<Delete>" + many + "</Delete>")); err != nil || len(d.Items) != MaxDeleteKeys {
		t.Errorf("most keys: %v", err)
	}
	if _, err := ParseDelete([]byte("<Delete>" + many + "<Object><Key>k</Key></Object></Delete>")); !errors.Is(err, ErrMalformed) {
		t.Errorf("one key too many: %v", err)
	}
}

func completing(parts string) string {
	return "<CompleteMultipartUpload>" + parts + "</CompleteMultipartUpload>"
}

func TestParseComplete(t *testing.T) {
	doc := completing(`<Part><ETag>"a"</ETag><PartNumber>1</PartNumber></Part><Part><PartNumber>2</PartNumber><ETag>b</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>`)
	parts, err := ParseComplete([]byte(doc))
	if err != nil || len(parts) != 2 || parts[0].ETag != "a" || parts[1].Number != 2 || parts[1].Checksum.Value != "AAAAAA==" || parts[1].Checksum.Algorithm.Name() != "CRC32" {
		t.Errorf("%+v, %v", parts, err)
	}
	const good = "<PartNumber>1</PartNumber><ETag>a</ETag>"
	for _, bad := range []string{
		"", "<ETag>a</ETag>", "<PartNumber>1</PartNumber>", good + "<ETag>a</ETag>", good + "<PartNumber>1</PartNumber>", "<PartNumber>x</PartNumber><ETag>a</ETag>",
		"<PartNumber>-1</PartNumber><ETag>a</ETag>", "<PartNumber>99999999999</PartNumber><ETag>a</ETag>", "<PartNumber>1</PartNumber><ETag></ETag>", good + "<Colour/>",
		good + "<ChecksumCRC32>x</ChecksumCRC32>", good + "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>", good + "<Checksumcrc32>AAAAAA==</Checksumcrc32>",
		good + "<Checksum>x</Checksum>",
	} {
		if _, err := ParseComplete([]byte(completing("<Part>" + bad + "</Part>"))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	var unsupported *UnsupportedError
	if _, err := ParseComplete([]byte(completing("<Part>" + good + "<ChecksumSHA512>x</ChecksumSHA512></Part>"))); !errors.As(err, &unsupported) || unsupported.Element != "ChecksumSHA512" {
		t.Errorf("a checksum of a later S3: %v", err)
	}
	var most strings.Builder
	for i := range api.MaxPartNumber {
		fmt.Fprintf(&most, "<Part><PartNumber>%d</PartNumber><ETag>&quot;9dd4e461268c8034f5c8564e155c67a6&quot;</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>", i+1, "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=")
	}
	if n := most.Len(); n > MaxComplete {
		t.Errorf("10,000 parts take %d bytes", n)
	}
	if parts, err := ParseComplete([]byte(completing(most.String()))); err != nil || len(parts) != api.MaxPartNumber {
		t.Errorf("most parts: %d, %v", len(parts), err)
	}
	if _, err := ParseComplete([]byte(completing(most.String() + "<Part>" + good + "</Part>"))); !errors.Is(err, ErrMalformed) {
		t.Errorf("one part too many: %v", err)
	}
}

func TestParseCreateBucket(t *testing.T) {
	for doc, want := range map[string]string{
		"<CreateBucketConfiguration/>":                                                                      "",
		"<CreateBucketConfiguration></CreateBucketConfiguration>":                                           "",
		"<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>": "x",
		"<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>":                      "",
	} {
		if got, err := ParseCreateBucket([]byte(doc)); err != nil || got != want {
			t.Errorf("%s: %q, %v", doc, got, err)
		}
	}
	for _, element := range []string{"Location", "Bucket", "Tags"} {
		var unsupported *UnsupportedError
		doc := "<CreateBucketConfiguration><" + element + "><x/></" + element + "></CreateBucketConfiguration>"
		if _, err := ParseCreateBucket([]byte(doc)); !errors.As(err, &unsupported) || unsupported.Element != element {
			t.Errorf("%s: %v", element, err)
		}
	}
}

// seeds gives every document of these tests to a fuzz target.
func seeds(f *testing.F) {
	for _, doc := range wrong {
		for _, root := range []string{"Delete", "CompleteMultipartUpload", "CreateBucketConfiguration"} {
			f.Add([]byte(strings.ReplaceAll(doc, "ROOT", root)))
		}
	}
	f.Add([]byte(deleting("<Key>&#x1;<![CDATA[a]]></Key><VersionId>v</VersionId><ETag>\"e\"</ETag><Size>5</Size>")))
	f.Add([]byte(completing("<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>")))
}

// FuzzParseDelete: what is accepted says the same when it is written out again.
func FuzzParseDelete(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := ParseDelete(doc)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if len(d.Items) == 0 || len(d.Items) > MaxDeleteKeys {
			t.Fatalf("%d keys", len(d.Items))
		}
		again := []byte("<Delete>")
		again = boolean(again, "Quiet", d.Quiet)
		for _, item := range d.Items {
			again = append(again, "<Object>"...)
			again = element(again, "Key", item.Key)
			again = some(again, "VersionId", item.VersionID)
			if item.If.IfMatch != "" {
				again = quoted(again, "ETag", item.If.IfMatch)
			}
			again = append(again, "</Object>"...)
		}
		again = append(again, "</Delete>"...)
		b, err := ParseDelete(again)
		if err != nil || b.Quiet != d.Quiet || len(b.Items) != len(d.Items) {
			t.Fatalf("%s: %v", again, err)
		}
		for i := range d.Items {
			x, y := d.Items[i], b.Items[i]
			if x.Key != y.Key || x.VersionID != y.VersionID || x.If != y.If {
				t.Fatalf("%+v came back as %+v", x, y)
			}
		}
	})
}

func FuzzParseComplete(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		parts, err := ParseComplete(doc)
		if err != nil {
			return
		}
		again := []byte("<CompleteMultipartUpload>")
		for _, p := range parts {
			again = append(again, "<Part>"...)
			again = number(again, "PartNumber", int64(p.Number))
			again = quoted(again, "ETag", p.ETag)
			again = appendChecksum(again, p.Checksum, false)
			again = append(again, "</Part>"...)
		}
		b, err := ParseComplete(append(again, "</CompleteMultipartUpload>"...))
		if err != nil || len(b) != len(parts) {
			t.Fatalf("%s: %v", again, err)
		}
		for i := range parts {
			if parts[i] != b[i] {
				t.Fatalf("%+v came back as %+v", parts[i], b[i])
			}
		}
	})
}

func FuzzParseCreateBucket(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		location, err := ParseCreateBucket(doc)
		if err == nil && len(location) > len(doc) {
			t.Fatalf("%d bytes out of %d", len(location), len(doc))
		}
	})
}

func BenchmarkParseDelete(b *testing.B) {
	doc := []byte("<Delete>" + strings.Repeat("<Object><Key>photos/2026/03/img-000001.jpeg</Key></Object>", 1000) + "</Delete>")
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDelete(doc); err != nil {
			b.Fatal(err)
		}
	}
}
