"""Goes through the tokens of a statement that sqlglot's parser does not take, or takes for something else."""

from collections.abc import Sequence

from sqlglot import Token, TokenType

from sparkify_dagster_tests.redshift_stand_in.guard import check_name, matching_parentheses, tokens_of
from sparkify_dagster_tests.redshift_stand_in.refusal import Refusal


class TokenReader:
    """Goes through a statement's tokens, and gives back the text between them as it was written."""

    def __init__(self, sql: str, tokens: Sequence[Token] | None = None) -> None:
        self._sql = sql
        self._tokens = tokens_of(sql) if tokens is None else tokens
        self._place = 0
        self._closing = matching_parentheses(self._tokens)

    @property
    def ended(self) -> bool:
        return self._place >= len(self._tokens)

    @property
    def token(self) -> Token:
        if self.ended:
            raise Refusal("syntax error at end of input", "42601")
        return self._tokens[self._place]

    @property
    def word(self) -> str:
        """The word here in capitals; an identifier in quotes is none."""
        if self.ended or self.token.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
            return ""
        return self.token.text.upper()

    @property
    def word_after(self) -> str:
        return self._tokens[self._place + 1].text.upper() if self._place + 1 < len(self._tokens) else ""

    def at(self, word: str) -> bool:
        return self.word == word

    def next(self) -> Token:
        token = self.token
        self._place += 1
        return token

    def take(self, word: str) -> bool:
        if self.at(word):
            self._place += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise Refusal(f'syntax error at or near "{self.word or "end of input"}", expected {word}', "42601")

    def qualified_name(self) -> str:
        check_name(self.token)
        name = self.quoted(self.next())
        while self.take("."):
            name += "." + self.quoted(self.next())
        return name

    def quoted(self, token: Token) -> str:
        return self._sql[token.start : token.end + 1]

    def group_items(self) -> "list[TokenReader]":
        """Returns the contents of the parentheses at this position, split at their commas."""
        if not self.at("("):
            self.expect("(")
        end = self._closing[self._place]
        items: list[list[Token]] = [[]]
        depth = 0
        for token in self._tokens[self._place + 1 : end]:
            depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
            if depth == 0 and token.token_type is TokenType.COMMA:
                items.append([])
            else:
                items[-1].append(token)
        self._place = end + 1
        return [TokenReader(self._sql, item) for item in items]

    def expression(self, ends: frozenset[str]) -> str:
        """The text up to a word that ends it."""
        first = self._place
        while not self.ended and (self._place == first or self.word not in ends):
            self._place = self._closing.get(self._place, self._place) + 1
        return self._between(first, self._place)

    def remaining(self) -> "TokenReader":
        return TokenReader(self._sql, self._tokens[self._place :])

    def rest(self, without: tuple[str, ...] = ()) -> str:
        """The text from here on, but for words at its end."""
        tokens = [token for token in self._tokens[self._place :] if token.token_type is not TokenType.SEMICOLON]
        if without and tuple(token.text.upper() for token in tokens[-len(without) :]) == without:
            tokens = tokens[: -len(without)]
        if not tokens:
            raise Refusal("syntax error at end of input", "42601")
        return self._sql[tokens[0].start : tokens[-1].end + 1]

    def text(self) -> str:
        return self._between(0, len(self._tokens))

    def _between(self, first: int, end: int) -> str:
        return self._sql[self._tokens[first].start : self._tokens[end - 1].end + 1] if end > first else ""
