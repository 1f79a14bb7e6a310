package main

// A price is what a platform asks for, in US dollars.
type price struct {
	platform, unit string
	dollars        float64
	source, stated string // where, and as of when
}

// When prices were looked up. They are those beyond all free allowances, in the
// regions that the sources name.
const (
	lambdaPrices = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AWSLambda/current/eu-central-1/index.json"
	runPrices    = "https://cloud.google.com/run/pricing"
	fluidPrices  = "https://vercel.com/docs/fluid-compute/pricing"
	workerPrices = "https://developers.cloudflare.com/workers/platform/pricing/"

	lambdaRead = "2026-09-11, as others read it there"
	workerRead = "2026-08-03, as others read it there"
	undated    = "a stored copy without a date, looked up on 2026-11-25"
)

var (
	lambdaRequest  = price{"AWS Lambda, arm64, first tier", "request", 0.20e-6, lambdaPrices, lambdaRead}
	lambdaGBSecond = price{"AWS Lambda, arm64, first tier", "GB-second", 0.0000133334, lambdaPrices, lambdaRead}

	runRequest    = price{"Google Cloud Run, tier 1, request-based billing", "request", 0.40e-6, runPrices, undated}
	runCPUSecond  = price{"Google Cloud Run, tier 1, request-based billing", "vCPU-second", 0.000024, runPrices, undated}
	runGiBSecond  = price{"Google Cloud Run, tier 1, request-based billing", "GiB-second", 0.0000025, runPrices, undated}
	fluidRequest  = price{"Vercel, Fluid compute, Pro, iad1", "invocation", 0.60e-6, fluidPrices, undated}
	fluidCPUHour  = price{"Vercel, Fluid compute, Pro, iad1", "hour of active CPU", 0.128, fluidPrices, undated}
	fluidGBHour   = price{"Vercel, Fluid compute, Pro, iad1", "GB-hour of provisioned memory", 0.0106, fluidPrices, undated}
	workerRequest = price{"Cloudflare Workers, Standard", "request", 0.30e-6, workerPrices, workerRead}
	workerCPUMS   = price{"Cloudflare Workers, Standard", "ms of CPU time", 0.02e-6, workerPrices, workerRead}
)

// prices are all of them, in the order of the report.
var prices = []price{lambdaRequest, lambdaGBSecond, runRequest, runCPUSecond, runGiBSecond, fluidRequest, fluidCPUHour, fluidGBHour, workerRequest, workerCPUMS}
