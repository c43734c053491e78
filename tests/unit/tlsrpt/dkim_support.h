// Keys and a verifier for tests of DKIM. The keys sign nothing but test messages. The verifier
// takes a signed message apart by itself, so that sign() is not its own judge; whether others agree
// is seen in tests/lab/lab/dkim.py. Used by the unit and the conformance tests.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/encode.h"
#include "tlsrpt/dkim_canon.h"

namespace dkim_test {

// RFC 8463 §A.2, which is RFC 8032 §7.1, test 1.
inline constexpr const char* ed25519_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
inline constexpr const char* ed25519_public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

// RSA, 1024 bits: the least that is taken.
inline constexpr const char* rsa_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAOteJpWiGIw7+NmX\n"
    "q7GM8Qg4suiNaZdMVOUj33QWlRSBJiuw/S0GwLPwV6Fe1WRDTAqeMkFX/pnEta5H\n"
    "rq4pCfpDhQV0351KnQK+bjIOh/Ufd30CC4MGKzQAwLi/kc/Gq8ajPRrjYIV3AvoV\n"
    "PPVoNSpc+zEISuZBqiYEGnE/2qmNAgMBAAECgYAefLaQwUtettH4FW5W9EOwZe++\n"
    "sbqQr4F7oNbr6ZTr8AKqvCU/NNW3ORWQwIDxmMn7whwOXMCM2G8UIRLeWlCBS7Am\n"
    "6NRNzKtQdgJjD9kJu1Eemfu76iOBZPiMrjuvQHCnW9Xf35EFaS4DyRab04IVZAN8\n"
    "gcDxDpvP75GJCakCoQJBAPYVkkddmh/bYsCv9OfNfEJsbT2MaB6MDMN0B5Gqi4RE\n"
    "dQMhlTyNFhIHcMKD6N4SeSMO3o0Cb4Z9C+cdTQZp9IUCQQD02gklwEwOd0jrSrTd\n"
    "vwnYlaJLtXsMT0hG3GYvq+8QIqDFnYlJjfRwjMWiJMVtN84VUQ9Yd/8VQhMa+/ou\n"
    "GZNpAkEAn+yu7uA+zJtH10/Cym55ZbWPXOOFuuxrUw5x6NG7786JeOp3US2jfT4G\n"
    "ovMVAFVjEkyUh3Fgxzc26BDbwOJU/QJBAInFlZgUV7dcDz+1zYdoUxX3PFb1SsNm\n"
    "aPjWUvlH+UBO+7+2IOWuZnhd/WZ64kvONrtv3P6epn1DrJRmbCM8aOECQDEEeWve\n"
    "tO17q2xG8QuGWlye4bKPm8sJ824eRNF1jmqo7UPCkwfIgWmZZyFXKSXO1U5h+DlT\n"
    "eKeuYjaeF7oVhUo=\n"
    "-----END PRIVATE KEY-----\n";

// RSA, 768 bits.
inline constexpr const char* weak_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIB5AIBADANBgkqhkiG9w0BAQEFAASCAc4wggHKAgEAAmEArXhjDhTSs3pMdzr0\n"
    "4dDWlJnx9cutlJ6m1FNqwzY8ceZWHqQ3S56ZBizi6TSbaXzS4sRILLeo34X0PVGK\n"
    "zlQ6ahKfDebh+5rPLpcGf9WabclHfnYWgKnTC+ALycFpZ/WhAgMBAAECYGdYhYrq\n"
    "FO0gO1X9Jc8yn+RAIsqQ4YTdT/7HA5/xO+mPlFcE9nxyrC/lpfnRgZVC61UC+HMi\n"
    "Keaq7gKraEZ2K2V3DIrUurQn3qiHJ1pSn7gFjtaKISOun7trVVjO59SowQIxAN5A\n"
    "AFDG8iEErU7qu8S0VMcDZrfNAiwVg+xUbNGOFyGdtelQ8TaGcPAPc0KZMhxwtQIx\n"
    "AMfQEQ65eS8yOZj4tyiv9j2tP+4GU0FavFHukgNLMo3VcoDQHtNv6ryriEQyx/3A\n"
    "vQIxANL8ARCt/Jf5v6jmT8CJzN1szit4dDJzblyBPRimgjEIbfQDQioX8MkEcc/s\n"
    "bNTw7QIwKLI0By+3gulT2dguVdcg7AbxUmVvZ4w3duiETK9wKHskyx+YZ7APu0Wk\n"
    "h19gZEpxAjAufKyAvOCajJDAGKaQiwPiHXkILMOmMi8r+bHvSBRtkXH5PpMybpGZ\n"
    "lhLdKWPaYRg=\n"
    "-----END PRIVATE KEY-----\n";

// P-256: no key of DKIM.
inline constexpr const char* curve_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1Mly6BuVwn+xgOmT\n"
    "WWCxaU4qaVmsHQ/zySWeEUlPTw6hRANCAASd7rQj+Fchk2D1T3cXYduVsxM9Z69E\n"
    "eEwEQwDc3Deko5mlVIgYMxqzskWop9P8kOsOX96gbTtrpKhLAUiiBN0Y\n"
    "-----END PRIVATE KEY-----\n";

// The Ed25519 key under the passphrase "x".
inline constexpr const char* encrypted_key =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj3zWbHHMEVOgICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEELNUXgXRH8KgyYVhY71bM/MEQDEg\n"
    "8iJUN6zbCIY2b0rw7Bb8hRAAomP/9qXjB0wtprSJbUfuQIG934Me6yqkSNLqWnbQ\n"
    "SHfGJQEVvu/yfcyTYJ4=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

inline std::vector<std::uint8_t> sha256(std::string_view text) {
  std::vector<std::uint8_t> out(32);
  EVP_Digest(text.data(), text.size(), out.data(), nullptr, EVP_sha256(), nullptr);
  return out;
}

inline bool ed25519_holds(std::string_view public_base64, std::string_view signature_base64,
                          std::string_view text) {
  const auto raw = base::from_base64(public_base64);
  const auto signature = base::from_base64(signature_base64);
  if (!raw || !signature) return false;
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw->data(), raw->size()));
  const std::unique_ptr<EVP_MD_CTX, FreeKey> context(EVP_MD_CTX_new());
  const auto hash = sha256(text);
  return key && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature->data(), signature->size(), hash.data(),
                          hash.size()) == 1;
}

inline bool rsa_holds(std::string_view public_base64, std::string_view signature_base64,
                      std::string_view text) {
  const auto der = base::from_base64(public_base64);
  const auto signature = base::from_base64(signature_base64);
  if (!der || !signature) return false;
  const unsigned char* at = der->data();
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      d2i_PUBKEY(nullptr, &at, static_cast<long>(der->size())));
  const std::unique_ptr<EVP_MD_CTX, FreeKey> context(EVP_MD_CTX_new());
  const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
  return key &&
         EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature->data(), signature->size(), octets,
                          text.size()) == 1;
}

// The value of one tag of a DKIM-Signature field or a key record, without white space.
inline std::string tag(std::string_view field, std::string_view name) {
  std::string flat;
  for (const char c : field.substr(field.find(':') + 1)) {
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') flat += c;
  }
  std::string_view rest = flat;
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(';'));
    if (one.substr(0, one.find('=')) == name) return std::string(one.substr(name.size() + 1));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
  }
  return {};
}

// Whether the first field of `message`, a DKIM-Signature, holds under the key of `record`.
inline bool holds(std::string_view message, std::string_view record) {
  const tlsrpt::MessageParts parts = tlsrpt::message_parts(message);
  const std::string_view signature = parts.fields.front();
  if (tag(signature, "bh") != base::to_base64(sha256(tlsrpt::relaxed_body(parts.body)))) {
    return false;
  }
  std::string text;
  std::vector<std::string_view> left(parts.fields.begin() + 1, parts.fields.end());
  std::string names = tag(signature, "h") + ":";
  for (; !names.empty(); names.erase(0, names.find(':') + 1)) {
    const std::string name = names.substr(0, names.find(':'));
    for (auto field = left.rbegin(); field != left.rend(); ++field) {
      if (!base::iequals(tlsrpt::field_name(*field), name)) continue;
      text += tlsrpt::relaxed_field(*field) + "\r\n";
      left.erase(std::next(field).base());
      break;
    }
  }
  const std::size_t at = signature.find("\tb=");
  text += tlsrpt::relaxed_field(signature.substr(0, at + 3));
  const std::string key = tag(":" + std::string(record), "p");
  return tag(signature, "a") == "rsa-sha256" ? rsa_holds(key, tag(signature, "b"), text)
                                             : ed25519_holds(key, tag(signature, "b"), text);
}

}  // namespace dkim_test
