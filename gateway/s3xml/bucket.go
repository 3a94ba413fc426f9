package s3xml

import "shoal/node/api"

// ListBuckets is the answer of ListBuckets.
type ListBuckets struct {
	Owner   string
	Buckets []api.BucketInfo
	// Region is shown for each bucket when the request asked for a page, "" hides it.
	Region    string
	NextToken string
	Prefix    string
}

// AppendListBuckets appends the document of ListBuckets
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html).
func AppendListBuckets(b []byte, l *ListBuckets) []byte {
	const root = "ListAllMyBucketsResult"
	b = begin(b, root)
	b = appendOwner(b, l.Owner)
	b = open(b, "Buckets")
	for i := range l.Buckets {
		bucket := &l.Buckets[i]
		b = open(b, "Bucket")
		b = element(b, "Name", bucket.Name)
		b = instant(b, "CreationDate", bucket.Created)
		b = some(b, "BucketRegion", l.Region)
		b = shut(b, "Bucket")
	}
	b = shut(b, "Buckets")
	b = some(b, "ContinuationToken", l.NextToken)
	b = some(b, "Prefix", l.Prefix)
	return end(b, root)
}

// AppendLocation appends the document of GetBucketLocation; us-east-1 is shown empty
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html).
func AppendLocation(b []byte, region string) []byte {
	const root = "LocationConstraint"
	b = begin(b, root)
	if region != "us-east-1" {
		b = appendText(b, region)
	}
	return end(b, root)
}
