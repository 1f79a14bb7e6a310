# AWS's Parameters and Secrets extension reads the secret for the function, on a local port. Layers are AWS's own, one
# account per region; the versions are those of AWS's user guide of 28 July 2026.
locals {
  secrets_extensions = {
    af-south-1     = { account = "317013901791", arm64 = 97, x86_64 = 100 }
    ap-east-1      = { account = "768336418462", arm64 = 94, x86_64 = 97 }
    ap-east-2      = { account = "890742577149", arm64 = 65, x86_64 = 69 }
    ap-northeast-1 = { account = "133490724326", arm64 = 100, x86_64 = 100 }
    ap-northeast-2 = { account = "738900069198", arm64 = 96, x86_64 = 99 }
    ap-northeast-3 = { account = "576959938190", arm64 = 91, x86_64 = 94 }
    ap-south-1     = { account = "176022468876", arm64 = 95, x86_64 = 95 }
    ap-south-2     = { account = "070087711984", arm64 = 83, x86_64 = 91 }
    ap-southeast-1 = { account = "044395824272", arm64 = 101, x86_64 = 101 }
    ap-southeast-2 = { account = "665172237481", arm64 = 105, x86_64 = 105 }
    ap-southeast-3 = { account = "490737872127", arm64 = 91, x86_64 = 94 }
    ap-southeast-4 = { account = "090732460067", arm64 = 83, x86_64 = 84 }
    ap-southeast-5 = { account = "381492012281", arm64 = 83, x86_64 = 83 }
    ap-southeast-6 = { account = "995508174458", arm64 = 76, x86_64 = 78 }
    ap-southeast-7 = { account = "941377119484", arm64 = 83, x86_64 = 84 }
    ca-central-1   = { account = "200266452380", arm64 = 104, x86_64 = 107 }
    ca-west-1      = { account = "243964427225", arm64 = 70, x86_64 = 71 }
    eu-central-1   = { account = "187925254637", arm64 = 101, x86_64 = 101 }
    eu-central-2   = { account = "772501565639", arm64 = 70, x86_64 = 78 }
    eu-north-1     = { account = "427196147048", arm64 = 92, x86_64 = 95 }
    eu-south-1     = { account = "325218067255", arm64 = 92, x86_64 = 95 }
    eu-south-2     = { account = "524103009944", arm64 = 82, x86_64 = 90 }
    eu-west-1      = { account = "015030872274", arm64 = 101, x86_64 = 101 }
    eu-west-2      = { account = "133256977650", arm64 = 99, x86_64 = 99 }
    eu-west-3      = { account = "780235371811", arm64 = 95, x86_64 = 98 }
    il-central-1   = { account = "148806536434", arm64 = 70, x86_64 = 71 }
    me-central-1   = { account = "858974508948", arm64 = 49, x86_64 = 60 }
    me-south-1     = { account = "832021897121", arm64 = 55, x86_64 = 58 }
    mx-central-1   = { account = "241533131596", arm64 = 67, x86_64 = 68 }
    sa-east-1      = { account = "933737806257", arm64 = 100, x86_64 = 103 }
    us-east-1      = { account = "177933569100", arm64 = 99, x86_64 = 99 }
    us-east-2      = { account = "590474943231", arm64 = 109, x86_64 = 109 }
    us-west-1      = { account = "997803712105", arm64 = 93, x86_64 = 96 }
    us-west-2      = { account = "345057560386", arm64 = 99, x86_64 = 99 }
  }

  secrets_extension_arns = {
    for region, layer in local.secrets_extensions :
    region => "arn:aws:lambda:${region}:${layer.account}:layer:AWS-Parameters-and-Secrets-Lambda-Extension${var.architecture == "arm64" ? "-Arm64:${layer.arm64}" : ":${layer.x86_64}"}"
  }

  secrets_layers = {
    for region in var.regions : region => var.api_key_secret == null ? [] : [
      lookup(merge(local.secrets_extension_arns, var.secrets_extension_arns), region, "")
    ]
  }
}
