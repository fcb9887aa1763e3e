# Subscribes the bridge to an SNS topic: the same as cloudformation.yaml, in Terraform (AWS provider 4 or newer).

variable "topic_arn" {
  description = "The TopicArn of a standard topic (FIFO topics have no HTTP subscribers)"
  type        = string
}

variable "endpoint" {
  description = "The https URL under which SNS reaches the bridge, with Basic credentials if it wants them"
  type        = string
  sensitive   = true
}

variable "bridge_role_arn" {
  description = "The role or user of a bridge that pulls the dead letters (BRIDGE_SQS_QUEUES); empty is none"
  type        = string
  default     = ""
}

locals {
  # The policy that `bridge policy` prints.
  delivery_policy = {
    healthyRetryPolicy = {
      numRetries         = 100
      numNoDelayRetries  = 2
      minDelayTarget     = 5
      numMinDelayRetries = 12
      maxDelayTarget     = 60
      numMaxDelayRetries = 26
      backoffFunction    = "linear"
    }
    requestPolicy = {
      headerContentType = "text/plain; charset=UTF-8"
    }
  }
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "bridge-dead-letters"
  message_retention_seconds = 1209600 # 14 days, the maximum
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [var.topic_arn]
    }
  }

  dynamic "statement" {
    for_each = var.bridge_role_arn == "" ? [] : [var.bridge_role_arn]

    content {
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
      resources = [aws_sqs_queue.dead_letters.arn]

      principals {
        type        = "AWS"
        identifiers = [statement.value]
      }
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.dead_letters.json
}

resource "aws_sns_topic_subscription" "bridge" {
  topic_arn              = var.topic_arn
  protocol               = "https"
  endpoint               = var.endpoint
  endpoint_auto_confirms = true # the bridge confirms by itself, so it has to be running
  delivery_policy        = jsonencode(local.delivery_policy)
  redrive_policy         = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn })
  depends_on             = [aws_sqs_queue_policy.dead_letters]
}

output "dead_letters_url" {
  description = "For BRIDGE_SQS_QUEUES"
  value       = aws_sqs_queue.dead_letters.id
}
