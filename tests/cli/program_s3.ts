/** What `run` runs in the tests: an app that knows its bucket from its variables alone, through the AWS SDK. */
import { GetObjectCommand, ListBucketsCommand, PutObjectCommand, S3Client } from "npm:@aws-sdk/client-s3@3.1162.0";
import process from "node:process";
import { createInterface } from "node:readline/promises";

const { BUCKET_NAME: Bucket, AWS_ENDPOINT_URL_S3: endpoint } = process.env;
const own = new S3Client({ maxAttempts: 1 });
await own.send(new PutObjectCommand({ Bucket, Key: "whose", Body: `of ${Bucket}` }));
console.log(endpoint, Bucket);

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const [othersEndpoint, othersBucket] = line.split(" ");
  if (line === "end") process.exit(0);
  const refused = async (endpoint: string | undefined, Bucket: string) => {
    const client = new S3Client({ maxAttempts: 1, endpoint });
    const put = client.send(new PutObjectCommand({ Bucket, Key: "whose", Body: "stolen" }));
    return await put.then(() => "nobody refused", ({ name }) => name);
  };
  const { Body } = await own.send(new GetObjectCommand({ Bucket, Key: "whose" }));
  const { Buckets } = await own.send(new ListBucketsCommand({}));
  console.log(JSON.stringify({
    own: await Body!.transformToString(),
    opens: Buckets!.map(({ Name }) => Name),
    othersBucket: await refused(endpoint, othersBucket),
    othersServer: await refused(othersEndpoint, othersBucket),
  }));
}
