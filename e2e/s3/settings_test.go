package s3

import (
	"fmt"
	"strings"
)

// setting describes the operations of a bucket's setting, for cases that all have.
type setting struct {
	query string // sub-resource
	page  string // end of the pages' names: BucketCors
	root  string // of the document
	good  string // inside of the root, as it is given back
	// unset is the inside of the document of a new bucket, where there is one.
	unset *string
	code  string // otherwise the error of a new bucket
	put   int    // status
}

// common are the cases that every setting has.
func (s setting) common() []exchange {
	doc := func(inner string) string { return "<" + s.root + xmlSpace + ">" + inner + "</" + s.root + ">" }
	get, put, del := docs+"API/API_Get"+s.page+".html", docs+"API/API_Put"+s.page+".html", docs+"API/API_Delete"+s.page+".html"
	fresh := exchange{do: "GET /{b}?" + s.query, status: 404, code: s.code}
	if s.unset != nil {
		fresh = exchange{do: "GET /{b}?" + s.query, status: 200, exact: text(xmlHead + doc(*s.unset)), want: H{"Content-Type": "application/xml"}}
	}
	stored := exchange{do: "GET /{b}?" + s.query, status: 200, exact: text(xmlHead + doc(s.good))}
	set := exchange{do: "PUT /{b}?" + s.query, body: doc(s.good)}
	named := func(e exchange, name, page string) exchange { e.name, e.doc = name, page; return e }
	putting := func(name, body string, h H, status int, code string, then ...exchange) exchange {
		return exchange{name: name, doc: put, do: "PUT /{b}?" + s.query, head: h, body: body, status: status, code: code, then: then}
	}
	md5 := func(e exchange, of string) exchange { e.head = H{"Content-MD5": md5Of(of)}; return e }
	cases := []exchange{
		named(fresh, "of a new bucket", get),
		putting("put", doc(s.good), nil, s.put, "", stored),
		putting("put without namespace", "<"+s.root+">"+s.good+"</"+s.root+">", nil, s.put, "", stored),
		putting("put again", doc(s.good), nil, s.put, "", exchange{do: "PUT /{b}?" + s.query, body: doc(s.good), status: s.put}, stored),
		md5(putting("put with its digest", doc(s.good), nil, s.put, ""), doc(s.good)),
		md5(putting("put with another digest", doc(s.good), nil, 400, "BadDigest", fresh), "other"),
		putting("put no body", "", nil, 400, "MissingRequestBodyError", fresh),
		putting("put no XML", "x", nil, 400, "MalformedXML", fresh),
		putting("put another document", "<Other"+xmlSpace+"></Other>", nil, 400, "MalformedXML", fresh),
		putting("put an unknown element", doc(s.good+"<Colour>red</Colour>"), nil, 400, "MalformedXML", fresh),
		putting("put with a document type", "<!DOCTYPE a>"+doc(s.good), nil, 400, "MalformedXML", fresh),
		putting("put by another owner", doc(s.good), H{"x-amz-expected-bucket-owner": "111122223333"}, 403, "AccessDenied", fresh),
		{name: "put, no bucket", doc: put, do: "PUT /{b2}?" + s.query, body: doc(s.good), status: 404, code: "NoSuchBucket", has: []string{"<BucketName>{b2}</BucketName>"}},
		{name: "put, anonymous", doc: put, do: "PUT /{b}?" + s.query, as: anonymous, body: doc(s.good), status: 403, code: "AccessDenied", then: []exchange{fresh}},
		{name: "get, no bucket", doc: get, do: "GET /{b2}?" + s.query, status: 404, code: "NoSuchBucket"},
		{name: "get by another owner", doc: get, do: "GET /{b}?" + s.query, head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403, code: "AccessDenied"},
		{name: "not of a new bucket of that name", doc: docs + "API/API_DeleteBucket.html", before: []exchange{set, {do: "DELETE /{b}"}, {do: "PUT /{b}"}}, do: fresh.do, status: fresh.status, code: fresh.code, exact: fresh.exact},
	}
	if s.query == "requestPayment" {
		return cases
	}
	gone := fresh
	switch s.query {
	case "publicAccessBlock", "ownershipControls":
		gone = exchange{do: "GET /{b}?" + s.query, status: 404, code: map[string]string{
			"publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "ownershipControls": "OwnershipControlsNotFoundError"}[s.query]}
	}
	return append(cases,
		exchange{name: "delete", doc: del, before: []exchange{set}, do: "DELETE /{b}?" + s.query, status: 204, exact: text(""), then: []exchange{gone, {do: "DELETE /{b}?" + s.query, status: 204}, gone}},
		exchange{name: "delete what was not set", doc: del, do: "DELETE /{b}?" + s.query, status: 204, then: []exchange{gone}},
		exchange{name: "put after deletion", doc: put, before: []exchange{{do: "DELETE /{b}?" + s.query}}, do: "PUT /{b}?" + s.query, body: doc(s.good), status: s.put, then: []exchange{stored}},
		exchange{name: "delete, no bucket", doc: del, do: "DELETE /{b2}?" + s.query, status: 404, code: "NoSuchBucket"},
	)
}

func bucketTaggingFamily() family {
	tag := func(key, value string) string { return "<Tag><Key>" + key + "</Key><Value>" + value + "</Value></Tag>" }
	tagging := func(name, tags string, status int, code string, has ...string) exchange {
		return exchange{name: name, do: "PUT /{b}?tagging", body: "<Tagging><TagSet>" + tags + "</TagSet></Tagging>", status: status, code: code, has: has}
	}
	kept := func(name, tags string) exchange {
		e := tagging(name, tags, 204, "")
		e.then = []exchange{{do: "GET /{b}?tagging", status: 200, exact: text(xmlHead + "<Tagging" + xmlSpace + "><TagSet>" + tags + "</TagSet></Tagging>")}}
		return e
	}
	var many strings.Builder
	for i := range 51 {
		many.WriteString(tag(fmt.Sprintf("key-%02d", i), "v"))
	}
	all := many.String()
	s := setting{query: "tagging", page: "BucketTagging", root: "Tagging", good: "<TagSet>" + tag("a", "b") + tag("c", "") + "</TagSet>", code: "NoSuchTagSet", put: 204}
	return family{name: "bucket tagging", doc: docs + "API/API_PutBucketTagging.html", cases: append(s.common(),
		kept("one", tag("a", "b")),
		kept("in the order of the document", tag("z", "1")+tag("a", "2")),
		kept("fifty", all[:strings.LastIndex(all, "<Tag>")]),
		tagging("fifty-one", all, 400, "BadRequest", "Bucket tag count cannot be greater than 50"),
		kept("longest key", tag(strings.Repeat("k", 128), "v")),
		tagging("key too long", tag(strings.Repeat("k", 129), "v"), 400, "InvalidTag", "The TagKey you have provided is invalid"),
		kept("longest value", tag("k", strings.Repeat("v", 256))),
		tagging("value too long", tag("k", strings.Repeat("v", 257)), 400, "InvalidTag", "The TagValue you have provided is invalid"),
		tagging("empty key", tag("", "v"), 400, "InvalidTag"),
		tagging("same key twice", tag("a", "1")+tag("a", "2"), 400, "InvalidTag", "Cannot provide multiple Tags with the same key"),
		kept("keys that differ in case", tag("a", "1")+tag("A", "2")),
		tagging("key of the system", tag("aws:x", "1"), 400, "InvalidTag", "System tags cannot be added/updated by requester"),
		kept("punctuation", tag("a +-=._:/@", "b +-=._:/@")),
		tagging("other punctuation", tag("a", "b!"), 400, "InvalidTag"),
		kept("beyond ASCII", tag("clé", "大阪")),
		tagging("no value", "<Tag><Key>a</Key></Tag>", 400, "MalformedXML"),
		tagging("two keys", "<Tag><Key>a</Key><Key>b</Key><Value>c</Value></Tag>", 400, "MalformedXML"),
		exchange{name: "no tags remove them", before: []exchange{{do: "PUT /{b}?tagging", body: "<Tagging><TagSet>" + tag("a", "b") + "</TagSet></Tagging>"}},
			do: "PUT /{b}?tagging", body: "<Tagging><TagSet></TagSet></Tagging>", status: 204, then: []exchange{{do: "GET /{b}?tagging", status: 404, code: "NoSuchTagSet"}}},
		exchange{name: "no set", do: "PUT /{b}?tagging", body: "<Tagging></Tagging>", status: 400, code: "MalformedXML"},
	)}
}

func encryptionFamily() family {
	rule := func(algorithm, more, key string) string {
		return "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>" + algorithm + "</SSEAlgorithm>" + more + "</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>" + key + "</BucketKeyEnabled></Rule>"
	}
	put := func(name, inner string, status int, code string) exchange {
		return exchange{name: name, do: "PUT /{b}?encryption", body: "<ServerSideEncryptionConfiguration>" + inner + "</ServerSideEncryptionConfiguration>", status: status, code: code}
	}
	s := setting{query: "encryption", page: "BucketEncryption", root: "ServerSideEncryptionConfiguration", good: rule("AES256", "", "true"), unset: text(rule("AES256", "", "false")), put: 200}
	return family{name: "encryption", doc: docs + "API/API_PutBucketEncryption.html", cases: append(s.common(),
		put("kms", rule("aws:kms", "", "false"), 501, "NotImplemented"),
		put("kms with a key", rule("aws:kms", "<KMSMasterKeyID>k</KMSMasterKeyID>", "true"), 501, "NotImplemented"),
		put("dsse", rule("aws:kms:dsse", "", "false"), 501, "NotImplemented"),
		put("a key with AES256", rule("AES256", "<KMSMasterKeyID>k</KMSMasterKeyID>", "false"), 400, "InvalidArgument"),
		put("no such algorithm", rule("ROT13", "", "false"), 400, "MalformedXML"),
		put("two rules", rule("AES256", "", "false")+rule("AES256", "", "false"), 400, "MalformedXML"),
		put("no rule", "", 400, "MalformedXML"),
		put("key that is no boolean", rule("AES256", "", "maybe"), 400, "MalformedXML"),
	)}
}

func publicAccessFamily() family {
	flags := func(a, b, c, d string) string {
		return "<BlockPublicAcls>" + a + "</BlockPublicAcls><IgnorePublicAcls>" + b + "</IgnorePublicAcls><BlockPublicPolicy>" + c + "</BlockPublicPolicy><RestrictPublicBuckets>" + d + "</RestrictPublicBuckets>"
	}
	s := setting{query: "publicAccessBlock", page: "PublicAccessBlock", root: "PublicAccessBlockConfiguration", good: flags("true", "false", "true", "false"), unset: text(flags("true", "true", "true", "true")), put: 200}
	put := func(name, inner string, status int, code string, then ...exchange) exchange {
		return exchange{name: name, do: "PUT /{b}?publicAccessBlock", body: "<PublicAccessBlockConfiguration>" + inner + "</PublicAccessBlockConfiguration>", status: status, code: code, then: then}
	}
	shows := func(inner string) exchange {
		return exchange{do: "GET /{b}?publicAccessBlock", status: 200, has: []string{"<PublicAccessBlockConfiguration" + xmlSpace + ">" + inner + "</PublicAccessBlockConfiguration>"}}
	}
	return family{name: "public access", doc: docs + "API/API_PutPublicAccessBlock.html", cases: append(s.common(),
		put("what is not named is off", "<IgnorePublicAcls>true</IgnorePublicAcls>", 200, "", shows(flags("false", "true", "false", "false"))),
		put("nothing named", "", 200, "", shows(flags("false", "false", "false", "false"))),
		put("in capitals", "<BlockPublicAcls>TRUE</BlockPublicAcls>", 200, "", shows(flags("true", "false", "false", "false"))),
		put("no boolean", "<BlockPublicAcls>1</BlockPublicAcls>", 400, "MalformedXML"),
		put("twice", "<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>true</BlockPublicAcls>", 400, "MalformedXML"),
	)}
}

func requestPaymentFamily() family {
	payer := func(name string) string { return "<Payer>" + name + "</Payer>" }
	s := setting{query: "requestPayment", page: "BucketRequestPayment", root: "RequestPaymentConfiguration", good: payer("BucketOwner"), unset: text(payer("BucketOwner")), put: 200}
	put := func(name, inner string, status int, code string) exchange {
		return exchange{name: name, do: "PUT /{b}?requestPayment", body: "<RequestPaymentConfiguration>" + inner + "</RequestPaymentConfiguration>", status: status, code: code}
	}
	return family{name: "request payment", doc: docs + "API/API_PutBucketRequestPayment.html", cases: append(s.common(),
		put("requester", payer("Requester"), 501, "NotImplemented"),
		put("nobody", payer("Nobody"), 400, "MalformedXML"),
		put("two", payer("BucketOwner")+payer("BucketOwner"), 400, "MalformedXML"),
		exchange{name: "delete is no operation", do: "DELETE /{b}?requestPayment", status: 405, code: "MethodNotAllowed"},
	)}
}

// unconfiguredFamily is what can be asked for and not be set.
func unconfiguredFamily() family {
	f := family{name: "unconfigured", doc: docs + "API/API_Operations_Amazon_Simple_Storage_Service.html"}
	add := func(page, query, method string, status int, code string, exact *string) {
		f.cases = append(f.cases,
			exchange{name: page, doc: docs + "API/API_" + page + ".html", do: method + " /{b}?" + query, status: status, code: code, exact: exact},
			exchange{name: page + ", no bucket", doc: docs + "API/API_" + page + ".html", do: method + " /{b2}?" + query, status: 404, code: "NoSuchBucket"})
	}
	root := func(name string) *string { return text(xmlHead + "<" + name + xmlSpace + "></" + name + ">") }
	list := func(name string) *string {
		return text(xmlHead + "<" + name + xmlSpace + "><IsTruncated>false</IsTruncated></" + name + ">")
	}
	add("GetBucketLogging", "logging", "GET", 200, "", root("BucketLoggingStatus"))
	add("GetBucketNotificationConfiguration", "notification", "GET", 200, "", root("NotificationConfiguration"))
	add("GetBucketAccelerateConfiguration", "accelerate", "GET", 200, "", root("AccelerateConfiguration"))
	add("GetBucketReplication", "replication", "GET", 404, "ReplicationConfigurationNotFoundError", nil)
	add("DeleteBucketReplication", "replication", "DELETE", 204, "", text(""))
	add("GetBucketWebsite", "website", "GET", 404, "NoSuchWebsiteConfiguration", nil)
	add("DeleteBucketWebsite", "website", "DELETE", 204, "", text(""))
	for name, query := range map[string]string{"Analytics": "analytics", "IntelligentTiering": "intelligent-tiering", "Inventory": "inventory", "Metrics": "metrics"} {
		add("GetBucket"+name+"Configuration", query+"&id=x", "GET", 404, "NoSuchConfiguration", nil)
		add("DeleteBucket"+name+"Configuration", query+"&id=x", "DELETE", 404, "NoSuchConfiguration", nil)
	}
	add("ListBucketAnalyticsConfigurations", "analytics", "GET", 200, "", list("ListBucketAnalyticsConfigurationsResult"))
	add("ListBucketIntelligentTieringConfigurations", "intelligent-tiering", "GET", 200, "", list("ListBucketIntelligentTieringConfigurationsOutput"))
	add("ListBucketInventoryConfigurations", "inventory", "GET", 200, "", list("ListInventoryConfigurationsResult"))
	add("ListBucketMetricsConfigurations", "metrics", "GET", 200, "", list("ListMetricsConfigurationsResult"))
	for page, query := range map[string]string{
		"PutBucketLogging": "logging", "PutBucketNotificationConfiguration": "notification", "PutBucketAccelerateConfiguration": "accelerate", "PutBucketReplication": "replication",
		"PutBucketWebsite": "website", "PutBucketAnalyticsConfiguration": "analytics&id=x", "PutBucketIntelligentTieringConfiguration": "intelligent-tiering&id=x",
		"PutBucketInventoryConfiguration": "inventory&id=x", "PutBucketMetricsConfiguration": "metrics&id=x",
	} {
		f.cases = append(f.cases, exchange{name: page, doc: docs + "API/API_" + page + ".html", do: "PUT /{b}?" + query, body: "<x/>", status: 501, code: "NotImplemented"})
	}
	return f
}
