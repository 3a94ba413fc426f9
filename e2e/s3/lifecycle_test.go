package s3

import (
	"strings"
	"testing"
	"time"
)

// lifecycleRule is a rule that is on, for everything, unless inner says otherwise.
func lifecycleRule(id, filter, actions string) string {
	return "<Rule><ID>" + id + "</ID>" + filter + "<Status>Enabled</Status>" + actions + "</Rule>"
}

const (
	everything = "<Filter></Filter>"
	oneDay     = "<Expiration><Days>1</Days></Expiration>"
)

func lifecycleFamily() family {
	const page = docs + "API/API_PutBucketLifecycleConfiguration.html"
	doc := func(rules string) string {
		return "<LifecycleConfiguration" + xmlSpace + ">" + rules + "</LifecycleConfiguration>"
	}
	put := func(name, rules string, status int, code string, has ...string) exchange {
		return exchange{name: name, do: "PUT /{b}?lifecycle", head: H{"Content-MD5": md5Of(doc(rules))}, body: doc(rules), status: status, code: code, has: has}
	}
	kept := func(name, rules string) exchange {
		e := put(name, rules, 200, "")
		e.want = H{"x-amz-transition-default-minimum-object-size": "all_storage_classes_128K"}
		e.then = []exchange{{do: "GET /{b}?lifecycle", status: 200, exact: text(xmlHead + doc(rules)), want: H{"x-amz-transition-default-minimum-object-size": "all_storage_classes_128K"}}}
		return e
	}
	rule := func(filter, actions string) string { return lifecycleRule("r", filter, actions) }
	action := func(name, inner string) string { return "<" + name + ">" + inner + "</" + name + ">" }
	none := exchange{do: "GET /{b}?lifecycle", status: 404, code: "NoSuchLifecycleConfiguration"}
	and := func(inner string) string { return "<Filter><And>" + inner + "</And></Filter>" }
	tag := func(k, v string) string { return "<Tag><Key>" + k + "</Key><Value>" + v + "</Value></Tag>" }
	moves := func(when string) string {
		return action("Transition", when+"<StorageClass>REDUCED_REDUNDANCY</StorageClass>")
	}
	pastMoves := func(when string) string {
		return action("NoncurrentVersionTransition", when+"<StorageClass>REDUCED_REDUNDANCY</StorageClass>")
	}
	set := put("", rule(everything, oneDay), 200, "")
	long := strings.Repeat("i", 255)
	return family{name: "lifecycle", doc: page, cases: []exchange{
		{name: "of a new bucket", doc: docs + "API/API_GetBucketLifecycleConfiguration.html", do: none.do, status: 404, code: none.code},
		{name: "get, no bucket", doc: docs + "API/API_GetBucketLifecycleConfiguration.html", do: "GET /{b2}?lifecycle", status: 404, code: "NoSuchBucket"},
		{name: "put, no bucket", do: "PUT /{b2}?lifecycle", head: set.head, body: set.body, status: 404, code: "NoSuchBucket"},
		{name: "delete", doc: docs + "API/API_DeleteBucketLifecycle.html", before: []exchange{set}, do: "DELETE /{b}?lifecycle", status: 204, exact: text(""), then: []exchange{none, {do: "DELETE /{b}?lifecycle", status: 204}}},
		{name: "without a digest", do: "PUT /{b}?lifecycle", body: doc(rule(everything, oneDay)), status: 400, code: "InvalidRequest", has: []string{"Missing required header for this request: Content-MD5"}},
		{name: "anonymous", do: "PUT /{b}?lifecycle", as: anonymous, head: set.head, body: set.body, status: 403, code: "AccessDenied", then: []exchange{none}},
		{name: "another owner", do: "PUT /{b}?lifecycle", head: H{"Content-MD5": set.head["Content-MD5"], "x-amz-expected-bucket-owner": "111122223333"}, body: set.body, status: 403, code: "AccessDenied"},
		kept("days", rule(everything, oneDay)),
		kept("date", rule(everything, action("Expiration", "<Date>2050-01-02T00:00:00.000Z</Date>"))),
		kept("delete markers", rule(everything, action("Expiration", "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"))),
		kept("noncurrent", rule(everything, action("NoncurrentVersionExpiration", "<NoncurrentDays>3</NoncurrentDays>"))),
		kept("noncurrent, some kept", rule(everything, action("NoncurrentVersionExpiration", "<NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>"))),
		kept("uploads", rule(everything, action("AbortIncompleteMultipartUpload", "<DaysAfterInitiation>7</DaysAfterInitiation>"))),
		kept("all at once", rule(everything, oneDay+action("NoncurrentVersionExpiration", "<NoncurrentDays>3</NoncurrentDays>")+action("AbortIncompleteMultipartUpload", "<DaysAfterInitiation>7</DaysAfterInitiation>"))),
		kept("prefix", rule("<Filter><Prefix>logs/</Prefix></Filter>", oneDay)),
		kept("empty prefix", rule("<Filter><Prefix></Prefix></Filter>", oneDay)),
		kept("prefix of old", rule("<Prefix>logs/</Prefix>", oneDay)),
		kept("a tag", rule("<Filter>"+tag("a", "b")+"</Filter>", oneDay)),
		kept("size", rule("<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter>", oneDay)),
		kept("greatest size", rule("<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>", oneDay)),
		kept("and", rule(and("<Prefix>p</Prefix>"+tag("a", "b")+tag("c", "d")+"<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan>"), oneDay)),
		kept("two rules", lifecycleRule("1", everything, oneDay)+lifecycleRule("2", "<Filter><Prefix>p</Prefix></Filter>", oneDay)),
		kept("disabled", strings.Replace(rule(everything, oneDay), "Enabled", "Disabled", 1)),
		kept("longest ID", lifecycleRule(long, everything, oneDay)),
		put("ID too long", lifecycleRule(long+"i", everything, oneDay), 400, "InvalidArgument", "ID length should not exceed allowed limit of 255"),
		put("same ID twice", rule(everything, oneDay)+rule(everything, oneDay), 400, "InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule"),
		exchange{name: "no ID gets one", do: "PUT /{b}?lifecycle", head: H{"Content-MD5": md5Of(doc("<Rule>" + everything + "<Status>Enabled</Status>" + oneDay + "</Rule>"))}, body: doc("<Rule>" + everything + "<Status>Enabled</Status>" + oneDay + "</Rule>"), status: 200,
			then: []exchange{{do: "GET /{b}?lifecycle", status: 200, save: H{"rule": "<ID>"}}}},
		put("no days", rule(everything, action("Expiration", "<Days>0</Days>")), 400, "InvalidArgument", "for Expiration action must be a positive integer"),
		put("negative days", rule(everything, action("Expiration", "<Days>-3</Days>")), 400, "InvalidArgument"),
		put("days that are no number", rule(everything, action("Expiration", "<Days>x</Days>")), 400, "MalformedXML"),
		put("no midnight", rule(everything, action("Expiration", "<Date>2050-01-02T03:00:00Z</Date>")), 400, "InvalidArgument", " must be at midnight GMT"),
		put("no date", rule(everything, action("Expiration", "<Date>soon</Date>")), 400, "MalformedXML"),
		put("days and date", rule(everything, action("Expiration", "<Days>1</Days><Date>2050-01-02T00:00:00Z</Date>")), 400, "MalformedXML"),
		put("nothing to do", rule(everything, ""), 400, "InvalidRequest", "At least one action needs to be specified in a rule"),
		put("empty action", rule(everything, "<Expiration></Expiration>"), 400, "MalformedXML"),
		put("no filter", rule("", oneDay), 400, "MalformedXML"),
		put("filter and prefix", rule(everything+"<Prefix>p</Prefix>", oneDay), 400, "MalformedXML"),
		put("two conditions without and", rule("<Filter><Prefix>p</Prefix>"+tag("a", "b")+"</Filter>", oneDay), 400, "MalformedXML"),
		put("and of one", rule(and("<Prefix>p</Prefix>"), oneDay), 400, "MalformedXML"),
		put("same tag twice", rule(and(tag("a", "b")+tag("a", "c")), oneDay), 400, "InvalidRequest", "Duplicate Tag Keys are not allowed."),
		put("sizes that exclude each other", rule(and("<ObjectSizeGreaterThan>9</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan>"), oneDay), 400, "InvalidRequest"),
		put("no status", "<Rule>"+everything+oneDay+"</Rule>", 400, "MalformedXML"),
		put("other status", strings.Replace(rule(everything, oneDay), "Enabled", "On", 1), 400, "MalformedXML"),
		put("no noncurrent days", rule(everything, action("NoncurrentVersionExpiration", "<NoncurrentDays>0</NoncurrentDays>")), 400, "InvalidArgument", " for NoncurrentVersionExpiration action must be a positive integer"),
		put("too many kept", rule(everything, action("NoncurrentVersionExpiration", "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions>")), 400, "InvalidArgument"),
		put("uploads after no days", rule(everything, action("AbortIncompleteMultipartUpload", "<DaysAfterInitiation>0</DaysAfterInitiation>")), 400, "InvalidArgument", " for AbortIncompleteMultipartUpload action must be a positive integer"),
		put("uploads with a tag", rule("<Filter>"+tag("a", "b")+"</Filter>", action("AbortIncompleteMultipartUpload", "<DaysAfterInitiation>1</DaysAfterInitiation>")), 400, "InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags."),
		put("delete markers with a tag", rule("<Filter>"+tag("a", "b")+"</Filter>", action("Expiration", "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>")), 400, "InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags."),
		put("prefix too long", rule("<Filter><Prefix>"+strings.Repeat("p", 1025)+"</Prefix></Filter>", oneDay), 400, "InvalidRequest", "The maximum size of a prefix is 1024."),
		kept("transition", rule(everything, moves("<Days>30</Days>"))),
		kept("transition at the next midnight", rule(everything, moves("<Days>0</Days>"))),
		kept("transition by date", rule(everything, moves("<Date>2050-01-02T00:00:00.000Z</Date>"))),
		kept("transition before expiration", rule(everything, moves("<Days>30</Days>")+action("Expiration", "<Days>31</Days>"))),
		kept("transition by size", rule("<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>", moves("<Days>1</Days>"))),
		kept("transition with a tag", rule("<Filter>"+tag("a", "b")+"</Filter>", moves("<Days>1</Days>"))),
		kept("noncurrent transition", rule(everything, pastMoves("<NoncurrentDays>3</NoncurrentDays>"))),
		kept("noncurrent transition, some kept", rule(everything, pastMoves("<NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>"))),
		kept("noncurrent transition before expiration", rule(everything, pastMoves("<NoncurrentDays>3</NoncurrentDays>")+action("NoncurrentVersionExpiration", "<NoncurrentDays>4</NoncurrentDays>"))),
		put("transition to glacier", rule(everything, action("Transition", "<Days>30</Days><StorageClass>GLACIER</StorageClass>")), 400, "InvalidStorageClass", "Lifecycle rules lead to REDUCED_REDUNDANCY.", "<StorageClassRequested>GLACIER</StorageClassRequested>"),
		put("transition to standard", rule(everything, action("Transition", "<Days>30</Days><StorageClass>STANDARD</StorageClass>")), 400, "InvalidStorageClass"),
		put("noncurrent transition to glacier", rule(everything, action("NoncurrentVersionTransition", "<NoncurrentDays>30</NoncurrentDays><StorageClass>GLACIER</StorageClass>")), 400, "InvalidStorageClass"),
		put("transition to nothing", rule(everything, action("Transition", "<Days>30</Days>")), 400, "MalformedXML"),
		put("transition without a time", rule(everything, moves("")), 400, "MalformedXML"),
		put("transition of days and date", rule(everything, moves("<Days>1</Days><Date>2050-01-02T00:00:00Z</Date>")), 400, "MalformedXML"),
		put("transition after negative days", rule(everything, moves("<Days>-1</Days>")), 400, "InvalidArgument", " in Transition action must be nonnegative"),
		put("transition at no midnight", rule(everything, moves("<Date>2050-01-02T03:00:00Z</Date>")), 400, "InvalidArgument", " must be at midnight GMT"),
		put("transition on the day of expiration", rule(everything, moves("<Days>1</Days>")+oneDay), 400, "InvalidArgument", "must be greater than "),
		put("transition after the date of expiration", rule(everything, moves("<Date>2050-01-02T00:00:00Z</Date>")+action("Expiration", "<Date>2050-01-01T00:00:00Z</Date>")), 400, "InvalidArgument"),
		put("transition by date, expiration by days", rule(everything, moves("<Date>2050-01-02T00:00:00Z</Date>")+oneDay), 400, "InvalidRequest", "Found mixed "),
		put("transition twice", rule(everything, moves("<Days>1</Days>")+moves("<Days>2</Days>")), 400, "InvalidRequest", " must be different for "),
		put("noncurrent transition after expiration", rule(everything, pastMoves("<NoncurrentDays>4</NoncurrentDays>")+action("NoncurrentVersionExpiration", "<NoncurrentDays>4</NoncurrentDays>")), 400, "InvalidArgument", "must be greater than "),
		put("noncurrent transition by date", rule(everything, pastMoves("<Date>2050-01-02T00:00:00Z</Date>")), 400, "MalformedXML"),
		put("noncurrent transition, too many kept", rule(everything, pastMoves("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions>")), 400, "InvalidArgument"),
		put("no rules", "", 400, "MalformedXML"),
		put("unknown element", rule(everything, oneDay+"<Colour/>"), 400, "MalformedXML"),
		put("a thousand rules", manyRules(1000), 200, ""),
		put("a thousand and one", manyRules(1001), 400, "MalformedXML"),
		{name: "other minimum size", do: "PUT /{b}?lifecycle", head: H{"Content-MD5": set.head["Content-MD5"], "x-amz-transition-default-minimum-object-size": "varies_by_storage_class"}, body: set.body, status: 501, code: "NotImplemented"},
	}}
}

func manyRules(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(lifecycleRule("rule-"+itoa(i), "<Filter><Prefix>p"+itoa(i)+"</Prefix></Filter>", oneDay))
	}
	return b.String()
}

func expirationFamily() family {
	rules := "<LifecycleConfiguration>" + lifecycleRule("all of logs", "<Filter><Prefix>logs/</Prefix></Filter>", "<Expiration><Days>3</Days></Expiration>") +
		lifecycleRule("large", "<Filter><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></Filter>", oneDay) +
		lifecycleRule("dated", "<Filter><Prefix>dated/</Prefix></Filter>", "<Expiration><Date>2050-06-07T00:00:00Z</Date></Expiration>") + "</LifecycleConfiguration>"
	set := exchange{do: "PUT /{b}?lifecycle", head: H{"Content-MD5": md5Of(rules)}, body: rules, status: 200}
	after := func(days int) string {
		year, month, day := time.Now().UTC().Date()
		return time.Date(year, month, day+days+1, 0, 0, 0, 0, time.UTC).Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	third := H{"x-amz-expiration": `expiry-date="` + after(3) + `", rule-id="all+of+logs"`}
	first := H{"x-amz-expiration": `expiry-date="` + after(1) + `", rule-id="large"`}
	none := H{"x-amz-expiration": "-"}
	return family{name: "expiration", doc: docs + "API/API_PutObject.html#API_PutObject_ResponseSyntax", before: []exchange{set}, cases: []exchange{
		{name: "put", do: "PUT /{b}/logs/a", body: "x", status: 200, want: third, then: []exchange{{do: "GET /{b}/logs/a", status: 200, want: third}, {do: "HEAD /{b}/logs/a", status: 200, want: third}}},
		{name: "range", before: []exchange{put("logs/a", "abc")}, do: "GET /{b}/logs/a", head: H{"Range": "bytes=1-1"}, status: 206, want: third},
		{name: "no rule", do: "PUT /{b}/other", body: "x", status: 200, want: none, then: []exchange{{do: "GET /{b}/other", status: 200, want: none}}},
		{name: "by size", do: "PUT /{b}/other", body: "more than ten", status: 200, want: first},
		{name: "the earlier of two", do: "PUT /{b}/logs/a", body: "more than ten", status: 200, want: first},
		{name: "by date", do: "PUT /{b}/dated/a", body: "x", status: 200, want: H{"x-amz-expiration": `expiry-date="Tue, 07 Jun 2050 00:00:00 GMT", rule-id="dated"`}},
		{name: "copy", before: []exchange{put("a", "x")}, do: "PUT /{b}/logs/a", head: from("/{b}/a"), status: 200, want: third},
		{name: "multipart", before: []exchange{{do: "POST /{b}/logs/mp?uploads", save: H{"id": "<UploadId>"}}, {do: "PUT /{b}/logs/mp?partNumber=1&uploadId={id}", body: "x"}}, do: "POST /{b}/logs/mp?uploadId={id}",
			body: completion(partXML(1, "x")), status: 200, want: third},
		{name: "missing key", do: "GET /{b}/logs/none", status: 404, code: "NoSuchKey", want: none},
		{name: "failed condition", before: []exchange{put("logs/a", "x")}, do: "GET /{b}/logs/a", head: H{"If-Match": "x"}, status: 412, code: "PreconditionFailed", want: none},
		{name: "rules removed", before: []exchange{put("logs/a", "x")}, do: "DELETE /{b}?lifecycle", status: 204, then: []exchange{{do: "GET /{b}/logs/a", status: 200, want: none}, set, {do: "HEAD /{b}/logs/a", status: 200, want: third}}},
	}}
}

// testExpires lets a rule whose date is past remove what it is for, on a running store. The worker
// looks at what has changed every half minute.
func testExpires(t *testing.T, s *store) {
	rules := "<LifecycleConfiguration>" + lifecycleRule("past", "<Filter><Prefix>old/</Prefix></Filter>", "<Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>") + "</LifecycleConfiguration>"
	f := &family{name: "expires"}
	r := s.newRun(t, f, 0)
	r.all([]exchange{put("old/a", "x"), put("old/b", bytesOf(100<<10)), put("new/a", "y"),
		{do: "PUT /{b}?lifecycle", head: H{"Content-MD5": md5Of(rules)}, body: rules}})
	deadline := time.NewTimer(3 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		a := r.send(&exchange{do: "GET /{b}?list-type=2"})
		if a.element("KeyCount") == "1" && a.element("Key") == "new/a" {
			break
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("what has expired is still there:\n%s", a.body)
		}
	}
	r.all([]exchange{gone("old/a"), gone("old/b"), gives("new/a", "y")})
}
