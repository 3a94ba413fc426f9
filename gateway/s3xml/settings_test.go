package s3xml

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// codec is a document that is read and written, with one of each.
type codec struct {
	root string
	good []string
	bad  []string // inside of the root
	// again reads a document and writes it.
	again func(text []byte) ([]byte, error)
}

func coded[T any](parse func([]byte) (T, error), write func([]byte, T) []byte) func([]byte) ([]byte, error) {
	return func(text []byte) ([]byte, error) {
		v, err := parse(text)
		if err != nil {
			return nil, err
		}
		return write(nil, v), nil
	}
}

func codecs() []codec {
	return []codec{
		{root: "Tagging", again: coded(ParseTagging, AppendTagging),
			good: []string{"<TagSet></TagSet>", "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c&amp;</Key><Value></Value></Tag></TagSet>"},
			bad: []string{"", "<TagSet/><TagSet/>", "<Tag/>", "<TagSet><Tag/></TagSet>", "<TagSet><Tag><Key>a</Key></Tag></TagSet>", "<TagSet><Tag><Value>a</Value></Tag></TagSet>",
				"<TagSet><Tag><Key>a</Key><Key>a</Key><Value/></Tag></TagSet>", "<TagSet><X/></TagSet>", "<TagSet>" + strings.Repeat("<Tag><Key>a</Key><Value>b</Value></Tag>", tagsMax+1) + "</TagSet>"}},
		{root: "CORSConfiguration", again: coded(ParseCORS, AppendCORS),
			good: []string{"<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>",
				"<CORSRule><ID>x</ID><AllowedHeader>a</AllowedHeader><AllowedHeader>b</AllowedHeader><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>*</AllowedOrigin><ExposeHeader>e</ExposeHeader><MaxAgeSeconds>0</MaxAgeSeconds></CORSRule>"},
			bad: []string{"", "<CORSRule/>", "<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>", "<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", "<X/>",
				"<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin><MaxAgeSeconds>-1</MaxAgeSeconds></CORSRule>",
				"<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin><ID>1</ID><ID>2</ID></CORSRule>",
				"<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin><ID>" + strings.Repeat("x", 256) + "</ID></CORSRule>",
				"<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin><X/></CORSRule>",
				strings.Repeat("<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>", corsRulesMax+1)}},
		{root: "ServerSideEncryptionConfiguration", again: coded(ParseEncryption, AppendEncryption),
			good: []string{"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>",
				"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>"},
			bad: []string{"", "<Rule/>", "<Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule>", "<Rule/><Rule/>", "<Rule><X/></Rule>", "<X/>", "<Rule><ApplyServerSideEncryptionByDefault><X/></ApplyServerSideEncryptionByDefault></Rule>",
				"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>a</SSEAlgorithm><SSEAlgorithm>a</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>",
				"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>a</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>1</BucketKeyEnabled></Rule>"}},
		{root: "PublicAccessBlockConfiguration", again: coded(ParsePublicAccess, AppendPublicAccess),
			good: []string{"<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>"},
			bad:  []string{"<BlockPublicAcls>yes</BlockPublicAcls>", "<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>true</BlockPublicAcls>", "<X>true</X>"}},
		{root: "OwnershipControls", again: coded(ParseOwnership, AppendOwnership),
			good: []string{"<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>"},
			bad:  []string{"", "<Rule/>", "<ObjectOwnership>x</ObjectOwnership>", "<Rule><ObjectOwnership>x</ObjectOwnership></Rule><Rule><ObjectOwnership>x</ObjectOwnership></Rule>"}},
		{root: "LifecycleConfiguration", again: coded(ParseLifecycle, AppendLifecycle),
			good: []string{lifecycleRules},
			bad: []string{"", "<Rule/>", "<X/>", rule("<Status>On</Status><Filter/>"), rule("<Filter/>"), rule("<Status>Enabled</Status>"), rule("<Status>Enabled</Status><Filter/><Prefix/>"),
				rule(on + "<Transition/>"), rule(on + "<Transition><Days>1</Days></Transition>"), rule(on + "<Transition><Days>1</Days><StorageClass/></Transition>"), rule(on + moves("")),
				rule(on + moves("<Days>1</Days><Date>2026-01-01T00:00:00Z</Date>")), rule(on + moves("<Days>x</Days>")), rule(on + moves("<Days>1</Days><Days>1</Days>")), rule(on + moves("<Date>soon</Date>")),
				rule(on + moves("<NoncurrentDays>1</NoncurrentDays>")), rule(on + moves("<Days>1</Days><NewerNoncurrentVersions>1</NewerNoncurrentVersions>")), rule(on + moves("<X/>")),
				rule(on + noncurrentMoves("")), rule(on + noncurrentMoves("<Days>1</Days>")), rule(on + noncurrentMoves("<Date>2026-01-01T00:00:00Z</Date>")),
				rule(on + "<Expiration/>"), rule(on + "<Expiration><Days>1</Days><Date>2026-01-01T00:00:00Z</Date></Expiration>"), rule(on + "<Expiration><Days>x</Days></Expiration>"),
				rule(on + "<Expiration><Date>soon</Date></Expiration>"), rule(on + "<NoncurrentVersionExpiration/>"), rule(on + "<AbortIncompleteMultipartUpload/>"), rule(on + "<X/>"),
				rule("<Status>Enabled</Status><Filter><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>"), rule("<Status>Enabled</Status><Filter><And><Prefix>a</Prefix></And></Filter>"),
				rule("<Status>Enabled</Status><Filter><And/></Filter>"), rule("<Status>Enabled</Status><Filter><X/></Filter>"), strings.Repeat(rule(on+"<Expiration><Days>1</Days></Expiration>"), 1001)}},
		{root: "RequestPaymentConfiguration", again: coded(ParseRequestPayment, AppendRequestPayment),
			good: []string{"<Payer>BucketOwner</Payer>"}, bad: []string{"", "<Payer>a</Payer><Payer>b</Payer>", "<X/>"}},
	}
}

const (
	on             = "<Status>Enabled</Status><Filter></Filter>"
	lifecycleRules = "<Rule><ID>a</ID><Filter></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>" +
		"<Rule><ID>b</ID><Prefix>p</Prefix><Status>Disabled</Status><Expiration><Date>2026-01-02T00:00:00.000Z</Date></Expiration></Rule>" +
		"<Rule><ID>c</ID><Filter><Prefix>p</Prefix></Filter><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>" +
		"<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>" +
		"<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>" +
		"<Rule><ID>d</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value></Value></Tag><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>" +
		"<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>" +
		"<Rule><ID>e</ID><Filter></Filter><Status>Enabled</Status><Transition><Days>0</Days><StorageClass>REDUCED_REDUNDANCY</StorageClass></Transition>" +
		"<NoncurrentVersionTransition><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions><StorageClass>REDUCED_REDUNDANCY</StorageClass></NoncurrentVersionTransition>" +
		"<Expiration><Days>1</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>4</NoncurrentDays></NoncurrentVersionExpiration></Rule>" +
		"<Rule><ID>f</ID><Prefix></Prefix><Status>Enabled</Status><Transition><Date>2026-01-02T00:00:00.000Z</Date><StorageClass>REDUCED_REDUNDANCY</StorageClass></Transition></Rule>"
)

// moves is a Transition.
func moves(inner string) string {
	return "<Transition>" + inner + "<StorageClass>REDUCED_REDUNDANCY</StorageClass></Transition>"
}

// noncurrentMoves is a NoncurrentVersionTransition.
func noncurrentMoves(inner string) string {
	return "<NoncurrentVersionTransition>" + inner + "<StorageClass>REDUCED_REDUNDANCY</StorageClass></NoncurrentVersionTransition>"
}

func rule(inner string) string { return "<Rule>" + inner + "</Rule>" }

// TestSettingDocuments reads what S3 sends, writes it again, and refuses what it is not.
func TestSettingDocuments(t *testing.T) {
	for _, c := range codecs() {
		for _, inner := range c.good {
			text := fmt.Sprintf(`%s<%s xmlns="%s">%s</%s>`, header, c.root, namespace, inner, c.root)
			if got, err := c.again([]byte(text)); err != nil || string(got) != text {
				t.Errorf("%s became\n%s, %v", text, got, err)
			}
		}
		for _, inner := range c.bad {
			if _, err := c.again([]byte("<" + c.root + ">" + inner + "</" + c.root + ">")); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s with %s: %v", c.root, inner, err)
			}
		}
		for name, doc := range wrong {
			if _, err := c.again([]byte(strings.ReplaceAll(doc, "ROOT", c.root))); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: %v", c.root, name, err)
			}
		}
	}
}

func TestUnsupportedEncryption(t *testing.T) {
	_, err := ParseEncryption([]byte("<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes/></Rule></ServerSideEncryptionConfiguration>"))
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) {
		t.Errorf("blocked types: %v", err)
	}
}

// TestRuleErrors holds what S3 says of rules against its own words
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html).
func TestRuleErrors(t *testing.T) {
	const days = "<Expiration><Days>1</Days></Expiration>"
	tagged := "<Status>Enabled</Status><Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>"
	sized := "<Status>Enabled</Status><Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>"
	for inner, isArgument := range map[string]bool{
		rule(on + "<Expiration><Days>0</Days></Expiration>"):                                                                                                               true,
		rule(on + "<Expiration><Days>-1</Days></Expiration>"):                                                                                                              true,
		rule(on + "<Expiration><Date>2026-01-02T00:00:01Z</Date></Expiration>"):                                                                                            true,
		rule(on + "<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>"):                                                         true,
		rule(on + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation></AbortIncompleteMultipartUpload>"):                                         true,
		rule("<ID>" + strings.Repeat("i", 256) + "</ID>" + on + days):                                                                                                      true,
		rule("<ID>i</ID>"+on+days) + rule("<ID>i</ID>"+on+days):                                                                                                            true,
		rule(on + moves("<Days>-1</Days>")):                                                                                                                                true,
		rule(on + moves("<Date>2026-01-02T00:00:01Z</Date>")):                                                                                                              true,
		rule(on + moves("<Days>1</Days>") + days):                                                                                                                          true,
		rule(on + moves("<Date>2026-01-03</Date>") + "<Expiration><Date>2026-01-02</Date></Expiration>"):                                                                   true,
		rule(on + moves("<Date>2026-01-03</Date>") + "<Expiration><Date>2026-01-03</Date></Expiration>"):                                                                   true,
		rule(on + noncurrentMoves("<NoncurrentDays>-1</NoncurrentDays>")):                                                                                                  true,
		rule(on + noncurrentMoves("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>0</NewerNoncurrentVersions>")):                                               true,
		rule(on + noncurrentMoves("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions>")):                                             true,
		rule(on + noncurrentMoves("<NoncurrentDays>2</NoncurrentDays>") + "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays></NoncurrentVersionExpiration>"): true,
		rule(on + moves("<Date>2026-01-03</Date>") + days):                                                                                                                 false,
		rule(on + moves("<Days>0</Days>") + "<Expiration><Date>2026-01-03</Date></Expiration>"):                                                                            false,
		rule(on + moves("<Days>0</Days>") + moves("<Days>1</Days>")):                                                                                                       false,
		rule("<Status>Enabled</Status><Prefix/>" + noncurrentMoves("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions>")):              false,
		rule(on): false,
		rule(tagged + "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"):                                                         false,
		rule(tagged + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"):                                false,
		rule(sized + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"):                                 false,
		rule("<Status>Enabled</Status><Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>6</ObjectSizeLessThan></And></Filter>" + days): false,
		rule("<Status>Enabled</Status><Filter><And><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>a</Key><Value>c</Value></Tag></And></Filter>" + days):             false,
		rule("<Status>Enabled</Status><Prefix>" + strings.Repeat("p", 1025) + "</Prefix>" + days):                                                                     false,
	} {
		_, err := ParseLifecycle([]byte("<LifecycleConfiguration>" + inner + "</LifecycleConfiguration>"))
		var e *RuleError
		if !errors.As(err, &e) || e.Argument != isArgument {
			t.Errorf("%s: %v", inner, err)
		}
	}
	for _, class := range []string{"GLACIER", "STANDARD", "STANDARD_IA"} {
		for _, action := range []string{"<Transition><Days>1</Days><StorageClass>%s</StorageClass></Transition>",
			"<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>%s</StorageClass></NoncurrentVersionTransition>"} {
			_, err := ParseLifecycle([]byte("<LifecycleConfiguration>" + rule(on+fmt.Sprintf(action, class)) + "</LifecycleConfiguration>"))
			var e *RuleError
			if !errors.As(err, &e) || e.Class != class {
				t.Errorf("transition to %s: %v", class, err)
			}
		}
	}
}

// FuzzSettings reads documents of every setting: what is taken is the same after it was
// written and read again.
func FuzzSettings(f *testing.F) {
	for _, c := range codecs() {
		for _, inner := range append(c.good, c.bad...) {
			f.Add([]byte("<" + c.root + ">" + inner + "</" + c.root + ">"))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, c := range codecs() {
			once, err := c.again(text)
			if err != nil {
				continue
			}
			twice, err := c.again(once)
			if err != nil || !bytes.Equal(once, twice) {
				t.Errorf("%s: %q became %q and then %q, %v", c.root, text, once, twice, err)
			}
		}
	})
}

func TestEmptyTagSet(t *testing.T) {
	tags, err := ParseTagging([]byte("<Tagging><TagSet/></Tagging>"))
	if err != nil || !reflect.DeepEqual(tags, []Tag(nil)) {
		t.Errorf("%v, %v", tags, err)
	}
}
