"""The URLs that name a queue, its region and its ARN."""

import pytest

from bridge.sqs.queue_url import QueueURL, parse_queue_urls


class TestQueueURLs:
    @pytest.mark.parametrize(
        ("url", "region", "arn"),
        [
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/a_B-9", "eu-central-1", "arn:aws:sqs:eu-central-1:123456789012:a_B-9"),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1", "arn:aws-cn:sqs:cn-north-1:123456789012:q"),
            ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/q", "us-gov-west-1", "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:q"),
            ("https://eu-west-1.queue.amazonaws.com/123456789012/q", "eu-west-1", "arn:aws:sqs:eu-west-1:123456789012:q"),
            ("https://vpce-0a1b-2c.sqs.us-east-1.vpce.amazonaws.com/123456789012/q", "us-east-1", "arn:aws:sqs:us-east-1:123456789012:q"),
            ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/q", "us-east-1", "arn:aws:sqs:us-east-1:000000000000:q"),
            ("http://localhost:4566/queue/us-east-2/000000000000/q", "us-east-2", "arn:aws:sqs:us-east-2:000000000000:q"),
            ("http://[::1]:9324/000000000000/q", "eu-west-3", "arn:aws:sqs:eu-west-3:000000000000:q"),
            ("https://queue.amazonaws.com/123456789012/q", "us-east-1", "arn:aws:sqs:us-east-1:123456789012:q"),
            ("https://queue.amazonaws.com:443/123456789012/q", "us-east-1", "arn:aws:sqs:us-east-1:123456789012:q"),
        ],
    )
    def test_region_and_arn(self, url, region, arn):
        queue = QueueURL(url, "eu-west-3")
        assert (queue.region, queue.arn, queue.url) == (region, arn, url)

    @pytest.mark.parametrize(
        ("host", "region"),
        [
            ("sqs-fips.us-east-1.amazonaws.com", "us-east-1"),
            ("sqs.ap-southeast-2.api.aws", "ap-southeast-2"),
            ("sqs-fips.us-gov-east-1.api.aws", "us-gov-east-1"),
            ("vpce-0a1b2c3d4e5f67890-abcdefgh.sqs.us-east-1.vpce.amazonaws.com", "us-east-1"),
            ("vpce-0a1b2c3d4e5f67890-abcdefgh-us-east-1a.sqs.us-east-1.vpce.amazonaws.com", "us-east-1"),
            ("cn-north-1.queue.amazonaws.com.cn", "cn-north-1"),
            ("sqs.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
            ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("SQS.us-east-1.amazonaws.com", "us-east-1"),
            ("sqs.eu-central-1.amazonaws.com:443", "eu-central-1"),
            ("eu-west-1.queue.localhost.localstack.cloud:4566", "eu-west-1"),
            ("localhost:4566/queue/eu-west-1", "eu-west-1"),
        ],
    )
    def test_the_region_is_where_aws_and_localstack_name_it(self, host, region):
        assert QueueURL(f"https://{host}/123456789012/q", "eu-west-3").region == region

    @pytest.mark.parametrize(
        "host", ["sqs-mock-1.default.svc:9324", "int-proxy-1.corp.example", "sqs.local", "queue.corp.example", "us-east-1.corp.example"]
    )
    def test_a_host_that_is_not_aws_names_no_region_however_its_labels_look(self, host):
        assert QueueURL(f"http://{host}/123456789012/q", "eu-west-3").region == "eu-west-3"
        with pytest.raises(ValueError, match="set AWS_REGION"):
            QueueURL(f"http://{host}/123456789012/q")

    @pytest.mark.parametrize(
        "url",
        [
            "orders",
            "arn:aws:sqs:eu-central-1:123456789012:orders",
            "https://sqs.eu-central-1.amazonaws.com/orders",
            "https://u:p@sqs.x/123456789012/q",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/q?x",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/q/",
            "ftp://h/123456789012/q",
        ],
    )
    def test_what_is_no_queues_url(self, url):
        with pytest.raises(ValueError, match="is not a queue's URL"):
            QueueURL(url)

    def test_a_region_is_needed(self):
        with pytest.raises(ValueError, match="names no region; set AWS_REGION"):
            QueueURL("http://localhost:9324/000000000000/q")

    def test_fifo_queues_are_explained(self):
        with pytest.raises(ValueError, match="FIFO"):
            QueueURL("https://sqs.eu-central-1.amazonaws.com/123456789012/q.fifo")

    def test_lists(self):
        one, two = "https://sqs.eu-central-1.amazonaws.com/123456789012/a", "https://sqs.eu-west-1.amazonaws.com/123456789012/a"
        assert [queue.url for queue in parse_queue_urls(f"{one}, {two},")] == [one, two] and parse_queue_urls("") == []
        with pytest.raises(ValueError, match="twice"):
            parse_queue_urls(f"{one},{one}")
