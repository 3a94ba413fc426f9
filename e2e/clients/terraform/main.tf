# State in the store, with a lock that is an object made by a conditional write. Resources
# of terraform_data need no provider from outside.

terraform {
  backend "s3" {
    bucket       = "terraform"
    key          = "states/odd näme + %.tfstate"
    region       = "us-east-1"
    use_lockfile = true

    use_path_style              = true
    skip_requesting_account_id  = true # there is no STS to ask
    skip_credentials_validation = true
  }
}

variable "revision" {
  type = string
}

# While this file is there, an apply holds its lock.
variable "hold" {
  type    = string
  default = ""
}

resource "terraform_data" "many" {
  count = 50
  input = "${var.revision} ${count.index} ä & <b>"
}

resource "terraform_data" "slow" {
  triggers_replace = var.revision

  provisioner "local-exec" {
    command = "touch began; while [ -n '${var.hold}' ] && [ -e '${var.hold}' ]; do sleep 0.1; done"
  }
}

output "revision" {
  value = terraform_data.many[0].output
}
