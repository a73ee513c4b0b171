"""Sizes of answers: what is read of each kind, since a small one may cost a process much."""

#: The most items a page may have, by the API's documents.
PAGE_LIMIT = 100

#: Bytes, decompressed, of a page, of any other answer, and of a refusal. Items that make a page larger are asked for in
#: smaller pages. What is decoded of a page at a time keeps a triggerer's other threads from running for less than 50 ms.
MAX_PAGE, MAX_ANSWER, MAX_REFUSAL = 2**21, 2**16, 2**16
#: Bytes of a page that has one item, where no triggerer reads it: an event may hold a document.
MAX_ITEM = 2**24
#: How many times as long as an event's JSON its copy in the answer may be: a character of two bytes, escaped, has six.
LONGER_ESCAPED = 3
#: Bytes of a page that no decoder takes, and that is taken apart token by token.
MAX_ODD_PAGE = 2**19
#: Bytes of a response before its body.
MAX_HEAD = 2**18
#: Characters of an id.
MAX_ID = 1000


class TooLargeError(Exception):
    """
    An answer is larger than is read of it.

    :param most: how many bytes it may have.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"an answer of more than {most:,} bytes")
