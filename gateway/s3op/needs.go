package s3op

// need is the right that an operation takes (Service Authorization Reference, "Actions, resources, and
// condition keys for Amazon S3"; S3 User Guide, "Required permissions for Amazon S3 API operations").
type need struct {
	action string
	// versioned takes the place of action when the request names a version.
	versioned string
	// also is a second right, alsoVersioned the same of a version.
	also, alsoVersioned string
	// own says that the operation asks by itself, once it has read what it must know for that.
	own bool
}

// needs are the rights by the operations' names. An operation without a row is answered to nobody.
var needs = map[string]need{
	"AbortMultipartUpload":                        {action: "s3:AbortMultipartUpload"},
	"CompleteMultipartUpload":                     {action: "s3:PutObject"},
	"CopyObject":                                  {action: "s3:PutObject"}, // and what readCopySource asks
	"CreateBucket":                                {action: "s3:CreateBucket", own: true},
	"CreateMultipartUpload":                       {action: "s3:PutObject"},
	"DeleteBucket":                                {action: "s3:DeleteBucket"},
	"DeleteBucketAnalyticsConfiguration":          {action: "s3:PutAnalyticsConfiguration"},
	"DeleteBucketCors":                            {action: "s3:PutBucketCORS"},
	"DeleteBucketEncryption":                      {action: "s3:PutEncryptionConfiguration"},
	"DeleteBucketIntelligentTieringConfiguration": {action: "s3:PutIntelligentTieringConfiguration"},
	"DeleteBucketInventoryConfiguration":          {action: "s3:PutInventoryConfiguration"},
	"DeleteBucketLifecycle":                       {action: "s3:PutLifecycleConfiguration"},
	"DeleteBucketMetricsConfiguration":            {action: "s3:PutMetricsConfiguration"},
	"DeleteBucketOwnershipControls":               {action: "s3:PutBucketOwnershipControls"},
	"DeleteBucketPolicy":                          {action: "s3:DeleteBucketPolicy"},
	"DeleteBucketReplication":                     {action: "s3:PutReplicationConfiguration"},
	"DeleteBucketTagging":                         {action: "s3:PutBucketTagging"},
	"DeleteBucketWebsite":                         {action: "s3:DeleteBucketWebsite"},
	"DeleteObject":                                {action: "s3:DeleteObject", versioned: "s3:DeleteObjectVersion"},
	"DeleteObjectTagging":                         {action: "s3:DeleteObjectTagging", versioned: "s3:DeleteObjectVersionTagging"},
	"DeleteObjects":                               {action: "s3:DeleteObject", versioned: "s3:DeleteObjectVersion", own: true},
	"DeletePublicAccessBlock":                     {action: "s3:PutBucketPublicAccessBlock"},
	"GetBucketAccelerateConfiguration":            {action: "s3:GetAccelerateConfiguration"},
	"GetBucketAcl":                                {action: "s3:GetBucketAcl"},
	"GetBucketAnalyticsConfiguration":             {action: "s3:GetAnalyticsConfiguration"},
	"GetBucketCors":                               {action: "s3:GetBucketCORS"},
	"GetBucketEncryption":                         {action: "s3:GetEncryptionConfiguration"},
	"GetBucketIntelligentTieringConfiguration":    {action: "s3:GetIntelligentTieringConfiguration"},
	"GetBucketInventoryConfiguration":             {action: "s3:GetInventoryConfiguration"},
	"GetBucketLifecycleConfiguration":             {action: "s3:GetLifecycleConfiguration"},
	"GetBucketLocation":                           {action: "s3:GetBucketLocation"},
	"GetBucketLogging":                            {action: "s3:GetBucketLogging"},
	"GetBucketMetricsConfiguration":               {action: "s3:GetMetricsConfiguration"},
	"GetBucketNotificationConfiguration":          {action: "s3:GetBucketNotification"},
	"GetBucketOwnershipControls":                  {action: "s3:GetBucketOwnershipControls"},
	"GetBucketPolicy":                             {action: "s3:GetBucketPolicy"},
	"GetBucketPolicyStatus":                       {action: "s3:GetBucketPolicyStatus"},
	"GetBucketReplication":                        {action: "s3:GetReplicationConfiguration"},
	"GetBucketRequestPayment":                     {action: "s3:GetBucketRequestPayment"},
	"GetBucketTagging":                            {action: "s3:GetBucketTagging"},
	"GetBucketVersioning":                         {action: "s3:GetBucketVersioning"},
	"GetBucketWebsite":                            {action: "s3:GetBucketWebsite"},
	"GetObject":                                   {action: "s3:GetObject", versioned: "s3:GetObjectVersion"},
	"GetObjectAcl":                                {action: "s3:GetObjectAcl", versioned: "s3:GetObjectVersionAcl"},
	"GetObjectAttributes": {action: "s3:GetObject", versioned: "s3:GetObjectVersion",
		also: "s3:GetObjectAttributes", alsoVersioned: "s3:GetObjectVersionAttributes"},
	"GetObjectLegalHold":                         {action: "s3:GetObjectLegalHold"},
	"GetObjectLockConfiguration":                 {action: "s3:GetBucketObjectLockConfiguration"},
	"GetObjectRetention":                         {action: "s3:GetObjectRetention"},
	"GetObjectTagging":                           {action: "s3:GetObjectTagging", versioned: "s3:GetObjectVersionTagging"},
	"GetPublicAccessBlock":                       {action: "s3:GetBucketPublicAccessBlock"},
	"HeadBucket":                                 {action: "s3:ListBucket"},
	"HeadObject":                                 {action: "s3:GetObject", versioned: "s3:GetObjectVersion"},
	"ListBucketAnalyticsConfigurations":          {action: "s3:GetAnalyticsConfiguration"},
	"ListBucketIntelligentTieringConfigurations": {action: "s3:GetIntelligentTieringConfiguration"},
	"ListBucketInventoryConfigurations":          {action: "s3:GetInventoryConfiguration"},
	"ListBucketMetricsConfigurations":            {action: "s3:GetMetricsConfiguration"},
	"ListBuckets":                                {action: "s3:ListAllMyBuckets"},
	"ListMultipartUploads":                       {action: "s3:ListBucketMultipartUploads"},
	"ListObjectVersions":                         {action: "s3:ListBucketVersions"},
	"ListObjects":                                {action: "s3:ListBucket"},
	"ListObjectsV2":                              {action: "s3:ListBucket"},
	"ListParts":                                  {action: "s3:ListMultipartUploadParts"},
	"PostObject":                                 {action: "s3:PutObject", own: true},
	"PutBucketAcl":                               {action: "s3:PutBucketAcl"},
	"PutBucketCors":                              {action: "s3:PutBucketCORS"},
	"PutBucketEncryption":                        {action: "s3:PutEncryptionConfiguration"},
	"PutBucketLifecycleConfiguration":            {action: "s3:PutLifecycleConfiguration"},
	"PutBucketOwnershipControls":                 {action: "s3:PutBucketOwnershipControls"},
	"PutBucketPolicy":                            {action: "s3:PutBucketPolicy"},
	"PutBucketRequestPayment":                    {action: "s3:PutBucketRequestPayment"},
	"PutBucketTagging":                           {action: "s3:PutBucketTagging", own: true},
	"PutBucketVersioning":                        {action: "s3:PutBucketVersioning"},
	"PutObject":                                  {action: "s3:PutObject"},
	"PutObjectAcl":                               {action: "s3:PutObjectAcl", versioned: "s3:PutObjectVersionAcl"},
	"PutObjectLegalHold":                         {action: "s3:PutObjectLegalHold", own: true},
	"PutObjectLockConfiguration":                 {action: "s3:PutBucketObjectLockConfiguration"},
	"PutObjectRetention":                         {action: "s3:PutObjectRetention", own: true},
	"PutObjectTagging":                           {action: "s3:PutObjectTagging", versioned: "s3:PutObjectVersionTagging", own: true},
	"PutPublicAccessBlock":                       {action: "s3:PutBucketPublicAccessBlock"},
	"RenameObject":                               {action: "s3:PutObject"}, // and what renameObject asks
	"UploadPart":                                 {action: "s3:PutObject"},
	"UploadPartCopy":                             {action: "s3:PutObject"}, // and what readCopySource asks
}

// creates are the operations that make an object, each at once.
var creates = stringSet("CopyObject CompleteMultipartUpload PostObject PutObject RenameObject")

// writes are those whose headers say what an object is to be like.
var writes = stringSet("CopyObject CreateMultipartUpload PostObject PutObject")
