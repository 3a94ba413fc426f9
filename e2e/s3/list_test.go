package s3

// tree is keys with directories and odd characters.
var tree = puts("a", "b/1", "b/2", "b/c/3", "d", "e%20f", "g%26h", "z%C3%A4")

func listFamily() family {
	ls := func(name, query string, has ...string) exchange {
		return exchange{name: name, do: "GET /{b}?list-type=2" + query, status: 200, has: has}
	}
	not := func(e exchange, pieces ...string) exchange { e.hasNot = pieces; return e }
	bad := func(name, query string, has ...string) exchange {
		e := ls(name, query, has...)
		e.status, e.code = 400, "InvalidArgument"
		return e
	}
	return family{name: "list", doc: docs + "API/API_ListObjectsV2.html", before: tree, cases: []exchange{
		ls("all", "", "<ListBucketResult"+xmlSpace+"><Name>{b}</Name><Prefix></Prefix><KeyCount>8</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"+
			"<Contents><Key>a</Key><LastModified>{*}</LastModified><ETag>"+xmlETag("")+"</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>",
			"<Key>b/1</Key>", "<Key>b/2</Key>", "<Key>b/c/3</Key>", "<Key>d</Key>", "<Key>e f</Key>", "<Key>g&amp;h</Key>", "<Key>zä</Key>", "</Contents></ListBucketResult>"),
		not(ls("without owners", ""), "<Owner>"),
		ls("with owners", "&fetch-owner=true", "<Owner><ID>{owner}</ID></Owner>"),
		not(ls("without owners, said", "&fetch-owner=false"), "<Owner>"),
		ls("prefix", "&prefix=b/", "<Prefix>b/</Prefix><KeyCount>3</KeyCount>", "<Key>b/1</Key>", "<Key>b/2</Key>", "<Key>b/c/3</Key>"),
		ls("prefix that is a key", "&prefix=d", "<KeyCount>1</KeyCount>", "<Key>d</Key>"),
		not(ls("prefix of nothing", "&prefix=q", "<KeyCount>0</KeyCount>"), "<Contents>"),
		not(ls("delimiter", "&delimiter=/", "<KeyCount>6</KeyCount>", "<Delimiter>/</Delimiter>", "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"), "<Key>b/"),
		not(ls("prefix and delimiter", "&prefix=b/&delimiter=/", "<KeyCount>3</KeyCount>", "<Key>b/1</Key>", "<Key>b/2</Key>", "<CommonPrefixes><Prefix>b/c/</Prefix></CommonPrefixes>"), "b/c/3"),
		ls("prefix without its slash, and delimiter", "&prefix=b&delimiter=/", "<KeyCount>1</KeyCount>", "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"),
		not(ls("empty delimiter", "&delimiter=", "<KeyCount>8</KeyCount>"), "<Delimiter>"),
		ls("delimiter of several bytes", "&delimiter=/c/", "<CommonPrefixes><Prefix>b/c/</Prefix></CommonPrefixes>"),
		not(ls("delimiter that no key has", "&delimiter=%7C", "<KeyCount>8</KeyCount>"), "<CommonPrefixes>"),
		not(ls("start after", "&start-after=d", "<StartAfter>d</StartAfter><KeyCount>3</KeyCount>", "<Key>e f</Key>"), "<Key>d</Key>"),
		ls("start after what is no key", "&start-after=c", "<Contents><Key>d</Key>"),
		not(ls("start after, inside of a common prefix", "&start-after=b/1&delimiter=/"), "<CommonPrefixes>"),
		{name: "pages", do: "GET /{b}?list-type=2&max-keys=3", status: 200, has: []string{"<NextContinuationToken>", "<KeyCount>3</KeyCount><MaxKeys>3</MaxKeys><IsTruncated>true</IsTruncated>"}, save: H{"next": "<NextContinuationToken>"},
			then: []exchange{{do: "GET /{b}?list-type=2&max-keys=3&continuation-token={next}", status: 200, has: []string{"<ContinuationToken>", "<Contents><Key>b/c/3</Key>", "<Key>e f</Key>"}, save: H{"next": "<NextContinuationToken>"}},
				{do: "GET /{b}?list-type=2&max-keys=3&continuation-token={next}", status: 200, has: []string{"<IsTruncated>false</IsTruncated>", "<Key>zä</Key>"}, hasNot: []string{"<NextContinuationToken>"}}}},
		{name: "pages of common prefixes", before: puts("f/1", "f/2", "h/1"), do: "GET /{b}?list-type=2&max-keys=2&delimiter=/", status: 200, has: []string{"<KeyCount>2</KeyCount>", "<Key>a</Key>", "<Prefix>b/</Prefix>"}, save: H{"next": "<NextContinuationToken>"},
			then: []exchange{{do: "GET /{b}?list-type=2&max-keys=3&delimiter=/&continuation-token={next}", status: 200, has: []string{"<Key>d</Key>", "<Key>e f</Key>", "<CommonPrefixes><Prefix>f/</Prefix></CommonPrefixes>"}, hasNot: []string{"<Prefix>b/</Prefix>"}}}},
		not(ls("exact page", "&max-keys=8", "<IsTruncated>false</IsTruncated>"), "<NextContinuationToken>"),
		not(ls("nothing wanted", "&max-keys=0", "<KeyCount>0</KeyCount><MaxKeys>0</MaxKeys><IsTruncated>false</IsTruncated>"), "<Contents>"),
		ls("more than the most", "&max-keys=5000", "<MaxKeys>1000</MaxKeys>"),
		bad("negative", "&max-keys=-1", "<ArgumentName>maxKeys</ArgumentName><ArgumentValue>-1</ArgumentValue>"),
		bad("no number", "&max-keys=x"),
		bad("empty token", "&continuation-token=", "The continuation token provided is incorrect"),
		bad("wrong token", "&continuation-token=YWJj"),
		bad("unknown encoding", "&encoding-type=base64", "Invalid Encoding Method specified in Request"),
		ls("encoded", "&encoding-type=url", "<EncodingType>url</EncodingType>", "<Key>b/1</Key>", "<Key>e+f</Key>", "<Key>g%26h</Key>", "<Key>z%C3%A4</Key>"),
		ls("encoded prefix", "&encoding-type=url&prefix=e%20&delimiter=%26", "<Prefix>e+</Prefix>", "<Delimiter>%26</Delimiter>"),
		{name: "control characters", before: puts("q%01%0D%0A"), do: "GET /{b}?list-type=2&prefix=q&encoding-type=url", status: 200, has: []string{"<Key>q%01%0D%0A</Key>"}},
		{name: "order is that of bytes", before: puts("B", "_", "%7E", "%F0%9F%98%80", "%EF%BF%BD"), do: "GET /{b}?list-type=2", status: 200, has: []string{"<Key>B</Key>", "<Key>_</Key>", "<Key>a</Key>", "<Key>zä</Key>", "<Key>~</Key>", "<Key>\uFFFD</Key>", "<Key>😀</Key>"}},
		{name: "after an overwrite", before: []exchange{put("a", "longer")}, do: "GET /{b}?list-type=2&prefix=a", status: 200, has: []string{"<KeyCount>1</KeyCount>", "<ETag>" + xmlETag("longer") + "</ETag>", "<Size>6</Size>"}},
		{name: "after a deletion", before: []exchange{{do: "DELETE /{b}/d"}}, do: "GET /{b}?list-type=2", status: 200, has: []string{"<KeyCount>7</KeyCount>"}, hasNot: []string{"<Key>d</Key>"}},
		{name: "no bucket", do: "GET /{b2}?list-type=2", status: 404, code: "NoSuchBucket"},
		{name: "with a slash", do: "GET /{b}/?list-type=2", status: 200, has: []string{"<KeyCount>8</KeyCount>"}},
		{name: "wrong owner", do: "GET /{b}?list-type=2", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403, code: "AccessDenied"},
		{name: "no account", do: "GET /{b}?list-type=2", head: H{"x-amz-expected-bucket-owner": "1"}, status: 400, code: "InvalidBucketOwnerAWSAccountID"},
		{name: "right owner", do: "GET /{b}?list-type=2", head: H{"x-amz-expected-bucket-owner": "000000000000"}, status: 200},
	}}
}

func listV1Family() family {
	ls := func(name, query string, has ...string) exchange {
		return exchange{name: name, do: "GET /{b}" + query, status: 200, has: has}
	}
	not := func(e exchange, pieces ...string) exchange { e.hasNot = pieces; return e }
	return family{name: "list v1", doc: docs + "API/API_ListObjects.html", before: tree, cases: []exchange{
		not(ls("all", "", "<ListBucketResult"+xmlSpace+"><Name>{b}</Name><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>a</Key>", "<Owner><ID>{owner}</ID></Owner>"), "<KeyCount>"),
		not(ls("page without delimiter", "?max-keys=2", "<IsTruncated>true</IsTruncated>"), "<NextMarker>"),
		ls("page with delimiter", "?max-keys=2&delimiter=/", "<NextMarker>b/</NextMarker>", "<IsTruncated>true</IsTruncated>", "<Key>a</Key>", "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"),
		not(ls("after a common prefix", "?marker=b/&delimiter=/", "<Marker>b/</Marker>", "<Key>d</Key>"), "<CommonPrefixes>"),
		not(ls("marker", "?marker=d", "<Marker>d</Marker>", "<Key>e f</Key>"), "<Key>d</Key>"),
		ls("prefix", "?prefix=b/", "<Prefix>b/</Prefix>", "<Key>b/1</Key>"),
		ls("encoded", "?encoding-type=url&marker=d%20&max-keys=1&delimiter=/", "<Marker>d+</Marker>", "<NextMarker>e+f</NextMarker>"),
		{name: "negative", do: "GET /{b}?max-keys=-5", status: 400, code: "InvalidArgument"},
		{name: "no bucket", do: "GET /{b2}", status: 404, code: "NoSuchBucket"},
		{name: "empty bucket", before: []exchange{{do: "PUT /{b2}"}}, do: "GET /{b2}", status: 200,
			exact: text(xmlHead + "<ListBucketResult" + xmlSpace + "><Name>{b2}</Name><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>")},
	}}
}

func listUploadsFamily() family {
	begin := func(key, name string) exchange {
		return exchange{do: "POST /{b}/" + key + "?uploads", save: H{name: "<UploadId>"}}
	}
	three := []exchange{begin("a", "a1"), begin("b/1", "b1"), begin("b/2", "b2x"), begin("c", "c1")}
	return family{name: "list uploads", doc: docs + "API/API_ListMultipartUploads.html", before: three, cases: []exchange{
		{name: "all", do: "GET /{b}?uploads", status: 200, has: []string{"<ListMultipartUploadsResult" + xmlSpace + "><Bucket>{b}</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>", "<MaxUploads>1000</MaxUploads>", "<IsTruncated>false</IsTruncated>",
			"<Key>a</Key><UploadId>{a1}</UploadId>", "<Initiator><ID>{owner}</ID>", "<StorageClass>STANDARD</StorageClass>", "<Key>b/1</Key>", "<Key>b/2</Key>", "<Key>c</Key>"}},
		{name: "prefix", do: "GET /{b}?uploads&prefix=b/", status: 200, has: []string{"<Prefix>b/</Prefix>", "<Key>b/1</Key>", "<Key>b/2</Key>"}, hasNot: []string{"<Key>a</Key>", "<Key>c</Key>"}},
		{name: "delimiter", do: "GET /{b}?uploads&delimiter=/", status: 200, has: []string{"<Key>a</Key>", "<Key>c</Key>", "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"}, hasNot: []string{"<Key>b/"}},
		{name: "key marker", do: "GET /{b}?uploads&key-marker=b/1", status: 200, has: []string{"<KeyMarker>b/1</KeyMarker>", "<Key>b/2</Key>", "<Key>c</Key>"}, hasNot: []string{"<Key>a</Key>", "<Key>b/1</Key>"}},
		{name: "pages", do: "GET /{b}?uploads&max-uploads=1", status: 200, has: []string{"<NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>{a1}</NextUploadIdMarker>", "<MaxUploads>1</MaxUploads>", "<IsTruncated>true</IsTruncated>"},
			then: []exchange{{do: "GET /{b}?uploads&max-uploads=1&key-marker=a&upload-id-marker={a1}", status: 200, has: []string{"<Key>b/1</Key>"}, hasNot: []string{"<Key>a</Key>"}}}},
		{name: "none is left after an abortion", before: []exchange{{do: "DELETE /{b}/a?uploadId={a1}"}}, do: "GET /{b}?uploads", status: 200, hasNot: []string{"<Key>a</Key>"}},
		{name: "no bucket", do: "GET /nobody-has-this?uploads", status: 404, code: "NoSuchBucket"},
		{name: "negative", do: "GET /{b}?uploads&max-uploads=-1", status: 400, code: "InvalidArgument"},
	}}
}
